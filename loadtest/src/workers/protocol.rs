use serde::{Deserialize, Serialize};

use crate::load::Outcome;

/// What a worker is asked to do.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) enum Request {
    /// Join all clients. Another generation joins rooms with other names.
    Join { generation: u32 },
    /// Send a round of messages.
    Round {
        /// When it begins, in microseconds since 1970: the same moment for all workers.
        at_micros: u64,
        /// Messages a second of this worker.
        per_second: u64,
        seconds: u32,
    },
    /// Break all connections.
    Disconnect,
    /// Report the errors since the last round.
    Errors,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    /// Joined or disconnected.
    Done,
    /// The outcome of a round.
    Round(Box<Outcome>),
    /// The number of errors, and the first of them.
    Errors(u64, Option<String>),
    /// The request failed.
    Failed(String),
}
