use std::collections::VecDeque;

/// Number of readings that are remembered.
const LOOKS: usize = 8;

/// A reading of another clock, and this clock's counter before the question and after the answer, in microseconds.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs, reason = "the fields are said above")]
pub struct Look {
    pub before: i64,
    pub said: i64,
    pub after: i64,
}

/// The least and the greatest amount by which another clock can be ahead of the counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    least: i64,
    most: i64,
}

impl Bounds {
    /// The middle of the bounds.
    pub(super) fn middle(self) -> i64 {
        self.least + (self.most - self.least) / 2
    }

    /// The value within the bounds that is nearest to `ahead`.
    pub(super) fn nearest(self, ahead: i64) -> i64 {
        ahead.clamp(self.least, self.most)
    }

    fn common(self, other: Self) -> Option<Self> {
        let (least, most) = (self.least.max(other.least), self.most.min(other.most));
        (least <= most).then_some(Self { least, most })
    }
}

impl From<Look> for Bounds {
    /// The other clock was read at an unknown moment between question and answer, so a slow answer gives wide bounds, but never wrong ones.
    fn from(look: Look) -> Self {
        Self {
            least: look.said.saturating_sub(look.after),
            most: look.said.saturating_sub(look.before.min(look.after)),
        }
    }
}

/// The last readings of another clock.
#[derive(Debug, Default)]
pub struct Sightings {
    /// Newest first.
    looks: VecDeque<Bounds>,
}

impl Sightings {
    /// The bounds of this reading combined with earlier ones. Readings that it contradicts are discarded: the other clock was set or replaced.
    pub fn add(&mut self, look: Look) -> Bounds {
        let newest = Bounds::from(look);
        let mut all = newest;
        let agreeing = self.looks.iter().map_while(|bounds| {
            all = all.common(*bounds)?;
            Some(())
        });
        let agreeing = agreeing.count();
        self.looks.truncate(agreeing.min(LOOKS - 1));
        self.looks.push_front(newest);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(before: i64, said: i64, after: i64) -> Look {
        Look { before, said, after }
    }

    #[test]
    fn the_quick_answers_count() {
        let mut sightings = Sightings::default();
        assert_eq!(sightings.add(look(0, 1_050, 100)), Bounds { least: 950, most: 1_050 });
        // The answer was slow, then the question: each by itself would mislead by half a second.
        assert_eq!(sightings.add(look(1_000, 2_001, 1_001_000)), Bounds { least: 950, most: 1_001 });
        assert_eq!(sightings.add(look(2_000_000, 3_000_990, 3_000_000)), Bounds { least: 990, most: 1_001 });
        assert_eq!(sightings.add(look(4_000_000, 4_001_000, 4_000_000)), Bounds { least: 1_000, most: 1_000 });
    }

    #[test]
    fn what_is_contradicted_is_forgotten() {
        let mut sightings = Sightings::default();
        for second in 0..20 {
            let now = second * 1_000_000;
            assert_eq!(sightings.add(look(now, now + 500, now + 10)), Bounds { least: 490, most: 500 });
        }
        assert_eq!(sightings.looks.len(), LOOKS);
        assert_eq!(sightings.add(look(0, 9_000, 100)), Bounds { least: 8_900, most: 9_000 });
        assert_eq!(sightings.looks.len(), 1);
        assert_eq!(sightings.add(look(0, 9_000, 20)), Bounds { least: 8_980, most: 9_000 });
    }
}
