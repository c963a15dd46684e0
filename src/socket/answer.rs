use super::client_session::ClientSession;
use crate::{
    clock::Millis,
    hub::HubError,
    protocol::{Code, Malformed, ServerFrame, encode},
    room::Json,
};

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was done.
    Granted,
    /// It was not, and its sender was told.
    Refused,
}

impl ClientSession {
    /// Answers a frame that was granted, if it has an `id`.
    pub(super) fn ack(&self, id: Option<&Json>, version: u64) -> Outcome {
        if let Some(id) = id {
            self.send(encode(&ServerFrame::Ack { id, version }));
        }
        Outcome::Granted
    }

    pub(super) fn error(&self, id: Option<&Json>, code: Code, message: &str, retry_after_ms: Option<Millis>) {
        self.gateway.metrics.errors.inc(code);
        let retryable = code.retryable();
        self.send(encode(&ServerFrame::Error { code, message, retryable, retry_after_ms, id }));
    }

    pub(super) fn malformed(&self, error: &Malformed) {
        self.error(error.id.as_ref(), error.code, &error.message, None);
    }

    /// Answers a frame that was not granted.
    pub(super) fn refused(&self, id: Option<&Json>, error: &HubError) -> Outcome {
        let code = error.code();
        if let HubError::Backend(cause) = error {
            // Whoever talks to shared state says it once, and counts it: not here, for everybody.
            tracing::debug!(error = %cause, "a member's command could not be committed");
        } else if let Some(skipped) = self.gateway.refusals.pass(self.gateway.clock.now()) {
            tracing::info!(r#type = self.hearing.as_str(), code = code.as_str(), skipped, "refused");
        }
        self.error(id, code, &error.to_string(), error.retry_after());
        Outcome::Refused
    }
}
