//! Charges the frames of a client, and answers those beyond its budget.

use tokio::time::Instant;

use super::{budget::Allowance, client_session::ClientSession, features::Features};
use crate::{
    clock::Millis,
    protocol::{ClientFrameType, ClientMessage, Code, Frame, Hello, Received, decode},
    room::Json,
};

/// The number of bytes that cost as much as one message, because a large frame that is relayed to many must cost its sender something.
const BYTES_PER_MESSAGE: usize = 4_096;
/// Minimum interval, in ms, between two ERROR rate_limited for frames without an `id`.
const COMPLAINT: Millis = 1_000;

impl ClientSession {
    /// Charges a frame of `bytes`. If it is beyond the budget: when to retry, in ms.
    pub(super) fn admit(&mut self, bytes: usize, now: Millis) -> Result<(), Millis> {
        self.charge(u32::try_from(1 + bytes / BYTES_PER_MESSAGE).unwrap_or(u32::MAX), now)
    }

    pub(super) fn charge(&mut self, amount: u32, now: Millis) -> Result<(), Millis> {
        let allowance = Allowance { rate: self.gateway.rate, burst: self.gateway.burst };
        let free = self.budget.held_until().is_none();
        let charged = self.budget.charge(amount, allowance, now, Instant::now());
        if free && self.budget.held_until().is_some() {
            self.gateway.metrics.reads_delayed.inc();
        }
        if charged.is_err()
            && self.budget.is_exhausted(allowance)
            && let Some(close) = Code::RateLimited.close()
        {
            self.outbox.close(close);
        }
        charged
    }

    /// Answers a frame that is beyond the budget. A frame with an `id`, a JOIN and a RESUME are answered each time, others once a second.
    pub(super) fn limited(&mut self, id: Option<&Json>, entry: bool, wait: Millis, now: Millis) {
        let fresh = now.saturating_sub(self.complained) >= COMPLAINT;
        if fresh {
            self.complained = now;
            if let Some(skipped) = self.gateway.refusals.pass(now) {
                tracing::info!(
                    code = Code::RateLimited.as_str(),
                    wait,
                    skipped,
                    "a client exceeds its message budget; its frames are refused"
                );
            }
        } else if id.is_none() && !entry {
            return;
        }
        self.error(id, Code::RateLimited, "too many messages, this one was dropped", Some(wait));
    }

    /// Refuses a frame beyond the budget. A PING is answered all the same, so that the client does not take the server for dead.
    pub(super) fn turn_away(&mut self, text: &str, wait: Millis, received: Millis) -> Option<Frame> {
        let (id, message) = match decode(text) {
            Ok(inbound) => (inbound.id, Some(inbound.message)),
            Err(error) => (error.id, None),
        };
        let pings = matches!(message, Some(ClientMessage::Ping { .. }));
        self.gateway.metrics.received.inc(if pings { ClientFrameType::Ping.into() } else { Received::Dropped });
        match message {
            Some(ClientMessage::Ping { t0 }) => return Some(self.pong(t0, received)),
            Some(ClientMessage::Hello(hello)) => self.turn_away_hello(hello, id.as_ref(), wait, received),
            Some(ClientMessage::Member(_)) | None => self.limited(id.as_ref(), false, wait, received),
        }
        None
    }

    /// Refuses a JOIN or RESUME beyond the budget.
    pub(super) fn turn_away_hello(&mut self, hello: Hello, id: Option<&Json>, wait: Millis, now: Millis) {
        self.joins_by = None;
        self.limited(id, true, wait, now);
        match hello {
            Hello::Join(frame) => {
                let features = Features::new(frame.features.as_deref());
                let (room, join) = self.entry(frame, None);
                self.keep_pending(room, join, features, Code::RateLimited, Some(wait));
            }
            Hello::Resume(_) => {}
        }
    }
}
