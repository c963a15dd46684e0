use super::speaker::Speaker;
use crate::{
    clock::Millis,
    hub::HubError,
    protocol::{Code, Malformed, ServerFrame, encode},
    room::Json,
};

/// What a frame with an `id` is answered with, and what any frame is answered with that cannot be granted.
impl Speaker {
    /// Always true: it was granted.
    pub(super) fn ack(&self, id: Option<&Json>, version: u64) -> bool {
        if let Some(id) = id {
            self.send(encode(&ServerFrame::Ack { id, version }));
        }
        true
    }

    pub(super) fn error(&self, id: Option<&Json>, code: Code, message: &str, retry_after_ms: Option<Millis>) {
        self.door.metrics.errors.inc(code);
        let retryable = code.retryable();
        self.send(encode(&ServerFrame::Error { code, message, retryable, retry_after_ms, id }));
    }

    pub(super) fn malformed(&self, error: &Malformed) {
        self.error(error.id.as_ref(), error.code, &error.message, None);
    }

    /// Always false: it was not granted.
    pub(super) fn refused(&self, id: Option<&Json>, error: &HubError) -> bool {
        let code = error.code();
        if let HubError::Backend(cause) = error {
            // Whoever talks to shared state says it once, and counts it: not here, for everybody.
            tracing::debug!(error = %cause, "a member's wish could not be committed");
        } else if let Some(skipped) = self.door.refusals.pass(self.door.clock.now()) {
            tracing::info!(r#type = self.hearing.as_str(), code = code.as_str(), skipped, "refused");
        }
        self.error(id, code, &error.to_string(), error.retry_after());
        false
    }
}
