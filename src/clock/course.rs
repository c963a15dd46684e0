use std::time::Duration;

/// A clock that corrects a difference runs faster or slower by one part in this many: 5 %. A film that follows it plays at that speed.
const PART: u32 = 20;

/// The difference between a clock and a steady counter, from now until the clock has corrected its error. All values are microseconds of
/// the counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Course {
    /// The difference when the correction ends.
    goal: i64,
    /// The counter when the correction ends.
    arrival: i64,
    /// Whether the clock runs faster until then, or slower.
    faster: bool,
}

impl Course {
    /// A constant difference.
    pub(super) fn new(ahead: i64) -> Self {
        Self { goal: ahead, arrival: i64::MIN, faster: false }
    }

    /// The difference at `count`.
    pub(super) fn ahead(self, count: i64) -> i64 {
        let left = self.arrival.saturating_sub(count).max(0) / i64::from(PART);
        if self.faster { self.goal.saturating_sub(left) } else { self.goal.saturating_add(left) }
    }

    /// The course from the difference at `count` to `goal`, without a leap.
    pub(super) fn towards(self, goal: i64, count: i64) -> Self {
        let off = goal.saturating_sub(self.ahead(count));
        Self { goal, arrival: count.saturating_add(off.saturating_abs().saturating_mul(PART.into())), faster: off > 0 }
    }

    /// The least time of the counter in which the clock advances by `time`.
    pub(super) fn at_least(self, time: Duration, count: i64) -> Duration {
        let faster = self.faster && self.arrival > count;
        if faster { time * PART / (PART + 1) } else { time }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Look, Sightings};

    const MILLI: i64 = 1_000;
    const SECOND: i64 = 1_000 * MILLI;
    const HOUR: i64 = 3_600 * SECOND;

    /// A clock to go by, and how it is seen.
    struct Story {
        name: &'static str,
        /// Parts in a million by which the steady counter is slower than the other clock.
        drift: i64,
        /// By how much that clock is set, and after how many seconds.
        set: &'static [(i64, i64)],
        /// How long the question takes, and the answer, from the given second on.
        ways: &'static [(i64, i64, i64)],
        /// By how much the clock may be off in the end, when nothing happens any more.
        off: i64,
    }

    const STORIES: [Story; 12] = [
        Story { name: "nothing happens", drift: 0, set: &[], ways: &[(0, 0, 0)], off: 2 },
        Story { name: "a quartz that is slow", drift: 50, set: &[], ways: &[(0, 200, 300)], off: MILLI },
        Story { name: "a quartz that is fast", drift: -50, set: &[], ways: &[(0, 300, 200)], off: MILLI },
        Story { name: "NTP steps forward", drift: 0, set: &[(10, 300 * MILLI)], ways: &[(0, 100, 100)], off: MILLI },
        Story { name: "NTP steps back", drift: 0, set: &[(10, -300 * MILLI)], ways: &[(0, 100, 100)], off: MILLI },
        Story {
            name: "NTP steps to and fro",
            drift: 9,
            set: &[(10, SECOND), (15, -2 * SECOND)],
            ways: &[(0, 100, 100)],
            off: MILLI,
        },
        Story { name: "set by an hour", drift: 0, set: &[(10, HOUR)], ways: &[(0, 0, 0)], off: 2 },
        Story { name: "set back by an hour", drift: 0, set: &[(10, -HOUR)], ways: &[(0, 0, 0)], off: 2 },
        Story {
            name: "three hours ahead at the start",
            drift: 0,
            set: &[(0, 3 * HOUR)],
            ways: &[(0, 100, 100)],
            off: MILLI,
        },
        Story {
            name: "failover to a server with another clock",
            drift: 0,
            set: &[(20, -7 * SECOND)],
            ways: &[(0, 150, 100), (20, 40 * MILLI, MILLI), (25, 100, 100)],
            off: MILLI,
        },
        Story {
            name: "answers come late for a while",
            drift: 20,
            set: &[],
            ways: &[(0, 100, 150), (10, 100, 1_500 * MILLI), (40, 100, 150)],
            off: MILLI,
        },
        Story {
            name: "questions come late for a while",
            drift: 20,
            set: &[],
            ways: &[(0, 100, 150), (10, 1_500 * MILLI, 100), (40, 100, 150)],
            off: MILLI,
        },
    ];

    impl Story {
        fn other(&self, true_time: i64) -> i64 {
            let set = self.set.iter().filter(|(at, _)| true_time >= at * SECOND).map(|(_, by)| by).sum::<i64>();
            1_700_000_000 * SECOND + true_time + set
        }

        fn count(&self, true_time: i64) -> i64 {
            true_time - true_time / 1_000_000 * self.drift
        }

        fn look(&self, true_time: i64) -> Look {
            let (_, there, back) = *self.ways.iter().rfind(|(from, ..)| true_time >= from * SECOND).unwrap();
            let after = self.count(true_time + there + back);
            Look { before: self.count(true_time), said: self.other(true_time + there), after }
        }
    }

    #[test]
    fn it_never_leaps_and_gets_there() {
        for story in STORIES {
            let mut sightings = Sightings::default();
            let mut course = Course::new(sightings.add(story.look(0)).middle());
            let mut before = story.count(0) + course.ahead(story.count(0));
            let mut worst = 0;
            let jumps = story.set.iter().filter(|(at, _)| *at > 0).map(|(_, by)| by.abs()).sum::<i64>();
            let end = 100 * SECOND + jumps * i64::from(PART) + jumps / 10;
            // A look each second while things happen, then in longer steps, or an hour would take a while.
            let mut now = 0;
            while now < end {
                let step = if now < 100 * SECOND { 100 * MILLI } else { (end - now).clamp(100 * MILLI, HOUR) };
                now += step;
                if now % SECOND == 0 || step > 100 * MILLI {
                    let count = story.count(now);
                    course = course.towards(sightings.add(story.look(now)).nearest(course.ahead(count)), count);
                }
                let count = story.count(now);
                let says = count + course.ahead(count);
                let (ran, real) = (says - before, step);
                // A thousandth for the quartz and the looks that took their time.
                assert!(
                    ran * 1_000 >= real * 949 && ran * 1_000 <= real * 1_051,
                    "{}: {ran} of {real} at {now}",
                    story.name
                );
                before = says;
                if story.set.is_empty() {
                    worst = worst.max((says - story.other(now)).abs());
                }
            }
            let off = (before - story.other(now)).abs();
            assert!(off <= story.off, "{}: off by {off} in the end", story.name);
            assert!(worst <= 2 * story.off, "{}: off by {worst} once", story.name);
        }
    }

    #[test]
    fn it_arrives_when_it_should() {
        let course = Course::new(5_000).towards(6_000, 100);
        assert_eq!(
            [100, 120, 10_100, 20_100, 99_999].map(|count| course.ahead(count)),
            [5_000, 5_001, 5_500, 6_000, 6_000]
        );
        let course = course.towards(0, 20_100);
        assert_eq!([20_100, 20_120, 140_100, 999_999].map(|count| course.ahead(count)), [6_000, 5_999, 0, 0]);
        // Three thousand years off, after a thousand.
        for goal in [100_000_000_000_000_000, -100_000_000_000_000_000] {
            let course = Course::new(0).towards(goal, 30_000_000_000_000_000);
            assert_eq!(course.ahead(30_000_000_000_000_000), 0);
        }
    }
}
