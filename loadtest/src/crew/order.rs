use serde::{Deserialize, Serialize};

use crate::haul::Haul;

/// What a hand is to do.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) enum Order {
    /// Bring all clients in.
    Gather {
        /// The same as before: into the same rooms. Another: into rooms that nobody knows.
        generation: u32,
    },
    /// Send.
    Round {
        /// When to begin, in microseconds since 1970: the same moment for all hands.
        at_micros: u64,
        /// Messages a second of this hand.
        per_second: u64,
        /// How long.
        seconds: u32,
    },
    /// Break all sockets.
    Scatter,
    /// Tell what was complained of since the last round.
    Complaints,
}

/// What has come of it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    /// All are in.
    Gathered,
    /// A round is over.
    Round(Box<Haul>),
    /// All sockets are broken.
    Scattered,
    /// How many complaints there were, and the first.
    Complaints(u64, Option<String>),
    /// It could not be done.
    Failed(String),
}
