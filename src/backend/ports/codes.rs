use async_trait::async_trait;

use crate::{backend::BackendError, clock::Millis, id::RoomId};

/// Short codes, each of which stands for one room until it expires.
#[async_trait]
pub trait ShortCodes: Send + Sync + 'static {
    /// Registers `code` for `room` until `until`. False if the code belongs to another room.
    async fn claim_code(&self, code: &str, room: &RoomId, until: Millis, now: Millis) -> Result<bool, BackendError>;

    /// The room of a code.
    async fn resolve_code(&self, code: &str, now: Millis) -> Result<Option<RoomId>, BackendError>;
}
