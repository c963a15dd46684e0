use async_trait::async_trait;

use super::{answer::corrupt, node::RedisNode};
use crate::{
    backend::{BackendError, ShortCodes},
    clock::Millis,
    id::RoomId,
};

/// Minimum expiry of the key of a short code, in ms. The value itself says until when the code is valid.
const CODE_LIFE: Millis = 60_000;

#[async_trait]
impl ShortCodes for RedisNode {
    async fn claim_code(&self, code: &str, room: &RoomId, until: Millis, now: Millis) -> Result<bool, BackendError> {
        let mut call = self.scripts.code.key(self.layout.code(code));
        call.arg(room.as_str()).arg(until).arg(now).arg(until.saturating_sub(now).max(CODE_LIFE));
        let given: i64 = self.main().invoke(&call).await?;
        Ok(given == 1)
    }

    async fn resolve_code(&self, code: &str, now: Millis) -> Result<Option<RoomId>, BackendError> {
        let answer: Option<String> = self.main().ask(redis::cmd("GET").arg(self.layout.code(code))).await?;
        let Some(answer) = answer else { return Ok(None) };
        let found =
            answer.split_once(':').and_then(|(until, room)| Some((until.parse().ok()?, RoomId::parse(room).ok()?)));
        if found.is_none() {
            self.faults.note(&corrupt("the room of a short code", &"it is not what nodes write"));
        }
        Ok(found.filter(|(until, _): &(Millis, RoomId)| *until > now).map(|(_, room)| room))
    }
}
