use serde::{Deserialize, Serialize};

use super::{Digest, Refusal};
use crate::{
    clock::Millis,
    id::{ConnId, UserId},
};

/// Refused attempts that a room takes down at once.
const BURST: Millis = 10;
/// After those, one in this time, in ms.
const EVERY: Millis = 10_000;

/// Something that a room refused, as auditors are told of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// Under which id it was tried: claimed, not proven.
    pub user: UserId,
    /// On which connection.
    pub conn: ConnId,
    /// From where.
    pub origin: Digest,
    /// The type of the frame.
    pub what: Box<str>,
    /// Why it was refused.
    pub refusal: Refusal,
}

/// How many more attempts a room takes down. Everybody who knows a room's name can make attempts, so they may not fill the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempts {
    /// When the whole burst is there again.
    whole_at: Millis,
}

impl Attempts {
    /// After one more; nothing when it is one too many.
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
