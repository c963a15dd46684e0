use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use super::{Change, Timeline};
use crate::{cbor, clock::Millis, id::UserId};

/// The ready gate: after a seek the film goes on when the other members have loaded the target. The gate opens when enough members are
/// ready, or at its deadline, so that a silent member cannot block the room.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Encode, Decode)]
pub struct Gate {
    /// The target of the seek; a READY must name exactly this number.
    #[cbor(n(0), with = "cbor::number")]
    pub target: f64,
    /// When the seek was decided: the film runs on from there.
    #[n(1)]
    pub opened: Millis,
    /// The time at which the gate opens in any case.
    #[n(2)]
    pub deadline: Millis,
    /// The members that are still loading.
    #[n(3)]
    pub waiting: Vec<UserId>,
    /// The number of ready members.
    #[n(4)]
    pub ready: usize,
}

impl Gate {
    /// Whether enough members are ready: 60 % of those that were counted and are still present, the share that first-generation clients
    /// know.
    pub fn satisfied(&self) -> bool {
        let counted = self.ready + self.waiting.len();
        self.ready >= (counted * 3).div_ceil(5)
    }

    /// The change that opens the gate.
    pub(super) fn release(&self, timeline: &Timeline) -> Change {
        Change::Released { target: self.target, opened: self.opened, timeline: timeline.clone() }
    }

    /// No longer counts `user`.
    pub(super) fn forget(&mut self, user: &UserId) {
        self.waiting.retain(|waiting| waiting != user);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_of_five() {
        let user = |n: usize| UserId::parse(&n.to_string()).unwrap();
        let gate = |ready, waiting: usize| Gate {
            target: 0.0,
            opened: 0,
            deadline: 0,
            waiting: (0..waiting).map(user).collect(),
            ready,
        };
        assert!(gate(0, 0).satisfied());
        assert!(!gate(0, 1).satisfied());
        assert!(gate(1, 0).satisfied());
        assert!(!gate(1, 1).satisfied());
        assert!(gate(2, 1).satisfied());
        assert!(!gate(2, 3).satisfied());
        assert!(gate(3, 2).satisfied());
    }
}
