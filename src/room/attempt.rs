use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use super::{Digest, Refusal};
use crate::{
    clock::Millis,
    id::{ConnId, UserId},
};

/// The burst of refused attempts that a room records.
const BURST: Millis = 10;
/// After the burst, one attempt is recorded in this time, in ms.
const EVERY: Millis = 10_000;

/// A refused attempt, for auditors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Encode, Decode)]
pub struct Attempt {
    /// The claimed user id.
    #[n(0)]
    pub user: UserId,
    /// The connection.
    #[n(1)]
    pub conn: ConnId,
    /// The origin.
    #[n(2)]
    pub origin: Digest,
    /// The type of the frame.
    #[n(3)]
    pub what: Box<str>,
    /// The reason of the refusal.
    #[n(4)]
    pub refusal: Refusal,
}

/// The budget of recorded attempts. It is limited because anyone who knows the id of a room can make attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
pub struct Attempts {
    /// When the budget is full again.
    #[n(0)]
    whole_at: Millis,
}

impl Attempts {
    /// The budget after one more attempt; `None` if it is exceeded.
    pub(super) fn another(before: Option<Self>, now: Millis) -> Option<Self> {
        let whole_at = before.map_or(now, |before| before.whole_at.max(now)) + EVERY;
        (whole_at <= now + BURST * EVERY).then_some(Self { whole_at })
    }
}

impl Refusal {
    /// Whether it is audited: not what is aimed at somebody who is not there, what is not decided yet, or what no member may do.
    pub fn is_audited(self) -> bool {
        !matches!(self, Self::NotJoined | Self::NoSuchMember | Self::SeatHeld | Self::UrlNotAllowed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_at_once_and_then_six_a_minute() {
        let mut attempts = None;
        let mut taken = Vec::new();
        for now in (0..=120_000).step_by(100) {
            for _ in 0..20 {
                if let Some(after) = Attempts::another(attempts, now) {
                    attempts = Some(after);
                    taken.push(now);
                }
            }
        }
        assert_eq!(taken.iter().filter(|at| **at == 0).count(), 10);
        assert_eq!(taken.iter().filter(|at| **at > 0).count(), 12, "{taken:?}");
    }
}
