use async_trait::async_trait;
use tandem::{
    backend::{BackendError, ShortCodes},
    clock::Millis,
    id::RoomId,
};

use super::port::Port;

#[async_trait]
impl ShortCodes for Port {
    async fn claim_code(&self, code: &str, room: &RoomId, until: Millis, now: Millis) -> Result<bool, BackendError> {
        let (code, room) = (code.to_owned(), room.clone());
        self.ask(move |bus| bus.store.claim_code(&code, &room, until, now)).await
    }

    async fn resolve_code(&self, code: &str, now: Millis) -> Result<Option<RoomId>, BackendError> {
        let code = code.to_owned();
        self.ask(move |bus| bus.store.resolve_code(&code, now)).await
    }
}
