use super::client_session::ClientSession;
use crate::{
    clock::Millis,
    hub::HubError,
    protocol::{Code, Malformed, ServerFrame, encode},
    room::Json,
};

/// The outcome of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The frame was granted.
    Granted,
    /// The frame was refused, and its sender got an ERROR.
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
            // The back end logs and counts the outage, so it is not logged for every client.
            tracing::debug!(error = %cause, "a member's command could not be committed");
        } else if let Some(skipped) = self.gateway.refusals.pass(self.gateway.clock.now()) {
            tracing::info!(r#type = self.hearing.as_str(), code = code.as_str(), skipped, "refused");
        }
        self.error(id, code, &error.to_string(), error.retry_after());
        Outcome::Refused
    }
}
