//! The one source of time. Everything that decides takes a [`Millis`] as an argument; only the edges ask a [`Clock`].

mod bounds;
mod course;

use std::{
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

pub use bounds::{Bounds, Look, Sightings};
use course::Course;

/// Milliseconds since 1970.
pub type Millis = u64;

/// The kernel's counter, which nobody can set. On Linux it continues while the machine sleeps: rooms, seats and leases are as old afterwards
/// as they are for everybody else, and the clock has no difference to correct.
const STEADY: ClockId = {
    #[cfg(target_os = "linux")]
    {
        ClockId::Boottime
    }
    #[cfg(not(target_os = "linux"))]
    {
        ClockId::Monotonic
    }
};

/// Wall-clock time without leaps. It counts by a steady counter, and [`Clock::follow`] makes it run slightly faster or slower until it agrees
/// with the clock that it follows: Redis' in a cluster, the system's on a single node. Only [`Clock::jump`] leaps, at the start.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// A process has one clock, which lives as long as the process.
    inner: &'static Inner,
}

#[derive(Debug)]
struct Inner {
    steady: Steady,
    course: RwLock<Course>,
    /// The last known difference between the followed clock and the counter, in microseconds.
    goes_by: AtomicI64,
}

#[derive(Debug)]
enum Steady {
    /// The kernel's counter, and its value in microseconds when this clock was made.
    Kernel(i64),
    /// The time of the tokio runtime, which tests and simulations pause and move.
    Tokio(Instant),
}

impl Clock {
    /// A clock that begins with the time of the system clock.
    pub fn system() -> Self {
        Self::new(Steady::Kernel(kernel()))
    }

    /// Counts by the time of the tokio runtime, which tests and simulations pause and move, and begins with `now`.
    pub fn of_tokio(now: Millis) -> Self {
        Self::beginning(Steady::Tokio(Instant::now()), i64::try_from(now).unwrap_or(i64::MAX / 1_000) * 1_000)
    }

    fn new(steady: Steady) -> Self {
        Self::beginning(steady, system_micros())
    }

    fn beginning(steady: Steady, ahead: i64) -> Self {
        let inner = Inner { steady, course: RwLock::new(Course::new(ahead)), goes_by: AtomicI64::new(ahead) };
        Self { inner: Box::leak(Box::new(inner)) }
    }

    pub fn now(&self) -> Millis {
        let count = self.count();
        as_millis(count + self.course().ahead(count))
    }

    /// An estimate of the time on other systems, for stamps that those judge, such as the end of a TURN credential. It does not contain the
    /// difference that this clock has yet to correct. The later of the system's clock and the followed clock counts: a credential that is
    /// valid for too long does less harm than one that expires before it is used.
    pub fn wall(&self) -> Millis {
        system().max(as_millis(self.count() + self.inner.goes_by.load(Ordering::Relaxed)))
    }

    /// The instant at which [`Clock::now`] will return `at`, or slightly before; now, if `at` has passed.
    pub fn instant(&self, at: Millis) -> Instant {
        let count = self.count();
        let course = self.course();
        let now = as_millis(count + course.ahead(count));
        Instant::now() + course.at_least(Duration::from_millis(at.saturating_sub(now)), count)
    }

    /// The counter, in microseconds since this clock was made.
    pub fn count(&self) -> i64 {
        match &self.inner.steady {
            Steady::Kernel(start) => kernel() - start,
            Steady::Tokio(start) => i64::try_from(start.elapsed().as_micros()).unwrap_or(i64::MAX),
        }
    }

    /// Reads the system's clock.
    pub fn look_at_system(&self) -> Look {
        Look { before: self.count(), said: system_micros(), after: self.count() }
    }

    /// The best estimate of how far a clock with these bounds is ahead of this one, in seconds.
    pub fn behind(&self, bounds: Bounds) -> f64 {
        let ahead = bounds.middle() - self.course().ahead(self.count());
        #[allow(clippy::cast_precision_loss, reason = "microseconds, for people")]
        let seconds = ahead as f64 / 1e6;
        seconds
    }

    /// Takes over the time of a clock with these bounds at once. Only for a node that has admitted nobody yet.
    pub fn jump(&self, bounds: Bounds) {
        self.inner.goes_by.store(bounds.middle(), Ordering::Relaxed);
        self.set_course(|_, _| Course::new(bounds.middle()));
    }

    /// Steers towards a clock with these bounds, as far as this clock is certainly wrong.
    pub fn follow(&self, bounds: Bounds) {
        self.inner.goes_by.store(bounds.middle(), Ordering::Relaxed);
        self.set_course(|course, count| course.towards(bounds.nearest(course.ahead(count)), count));
    }

    fn course(self) -> Course {
        *self.inner.course.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_course(self, new: impl FnOnce(Course, i64) -> Course) {
        let mut course = self.inner.course.write().unwrap_or_else(PoisonError::into_inner);
        *course = new(*course, self.count());
    }
}

fn kernel() -> i64 {
    let time = clock_gettime(STEADY);
    time.tv_sec * 1_000_000 + time.tv_nsec / 1_000
}

fn system_micros() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

fn as_millis(micros: i64) -> Millis {
    Millis::try_from(micros / 1_000).unwrap_or_default()
}

/// The system clock, for comparison with other clocks.
pub fn system() -> Millis {
    as_millis(system_micros())
}

/// A duration in whole milliseconds.
pub fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const SECOND: i64 = 1_000_000;

    fn exactly(ahead: i64) -> Bounds {
        Sightings::default().add(Look { before: 0, said: ahead, after: 0 })
    }

    #[tokio::test(start_paused = true)]
    async fn it_leaps_at_the_start_only() {
        let clock = Clock::of_tokio(system());
        let hours = 3 * 3_600 * SECOND;
        let begun = i64::try_from(clock.now()).unwrap() * 1_000;
        clock.jump(exactly(begun + hours));
        assert_eq!(clock.now(), as_millis(begun + hours));
        clock.follow(exactly(begun));
        advance(Duration::from_secs(10)).await;
        assert_eq!(clock.now(), as_millis(begun + hours + 9 * SECOND + SECOND / 2), "5 % slower");
        clock.follow(exactly(begun + 2 * hours));
        advance(Duration::from_secs(10)).await;
        assert_eq!(clock.now(), as_millis(begun + hours + 20 * SECOND), "5 % faster");
        assert!((clock.behind(exactly(begun + 2 * hours)) - 10_800.0).abs() < 0.01);
    }

    #[tokio::test(start_paused = true)]
    async fn timers_come_before_their_time_rather_than_after() {
        let clock = Clock::of_tokio(system());
        let at = clock.now() + 21_000;
        assert_eq!(clock.instant(at) - Instant::now(), Duration::from_secs(21));
        clock.follow(exactly(i64::try_from(clock.now()).unwrap() * 1_000 + 600 * SECOND));
        assert_eq!(clock.instant(at) - Instant::now(), Duration::from_secs(20), "it runs faster");
        advance(Duration::from_secs(20)).await;
        assert!(clock.now() >= at);
        assert_eq!(clock.instant(at), Instant::now());
    }

    #[tokio::test(start_paused = true)]
    async fn others_are_told_the_later_of_two_clocks() {
        let clock = Clock::of_tokio(system());
        let (system, hour) = (i64::try_from(system()).unwrap() * 1_000, 3_600 * SECOND);
        clock.follow(exactly(system + hour));
        assert!(clock.wall().abs_diff(as_millis(system + hour)) < 60_000, "not what it has made up for so far");
        clock.follow(exactly(system - hour));
        assert!(clock.wall().abs_diff(as_millis(system)) < 60_000, "a credential is not over before it begins");
    }

    /// A sleeping machine stops CLOCK_MONOTONIC but not CLOCK_BOOTTIME.
    #[test]
    fn it_counts_while_the_machine_sleeps() {
        #[cfg(target_os = "linux")]
        assert_eq!(STEADY, ClockId::Boottime);
        let clock = Clock::system();
        let look = clock.look_at_system();
        assert!(look.before <= look.after && look.before >= 0);
        assert!(clock.behind(Sightings::default().add(look)).abs() < 60.0);
    }
}
