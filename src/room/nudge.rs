use crate::clock::Millis;

/// How long after it joined a host is reminded for the first time.
const FIRST: Millis = 1_500;
/// How long a host may send positions but no heartbeat until it is reminded again.
const SILENCE: Millis = 5_000;

/// When a host has to be reminded that it is the host: some clients stop their own heartbeat timer when they start, and being told once more
/// that they are host revives it. Their position reports, two a second, are the clock of this.
#[derive(Debug, Clone, Copy)]
pub struct Nudge {
    due: Millis,
}

impl Nudge {
    /// The state for a host that joins now.
    pub fn new(now: Millis) -> Self {
        Self { due: now + FIRST }
    }

    /// Records a heartbeat.
    pub fn heard(&mut self, now: Millis) {
        self.due = now + SILENCE;
    }

    /// Records a position report, and returns whether to remind the host.
    pub fn is_due(&mut self, now: Millis) -> bool {
        let due = now >= self.due;
        if due {
            self.due = now + SILENCE;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_answered_and_heartbeats_are_not() {
        let mut nudge = Nudge::new(0);
        let told = |nudge: &mut Nudge, from: u64, to: u64| {
            (from..to).step_by(500).filter(|now| nudge.is_due(*now)).collect::<Vec<_>>()
        };
        assert_eq!(told(&mut nudge, 0, 12_000), [1_500, 6_500, 11_500]);
        for now in (12_000..30_000).step_by(3_000) {
            nudge.heard(now);
            assert!(!nudge.is_due(now + 2_500));
        }
    }
}
