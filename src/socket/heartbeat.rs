use std::time::Duration;

use tokio::time::Instant;

/// WebSocket pings decide alone whether a peer is alive. Any frame counts as a sign of life, a pong too; the application of the peer need
/// not send anything.
#[derive(Debug)]
pub(super) struct Heartbeat {
    heard: Instant,
    /// When the peer was pinged, unless it has sent something since.
    pinged: Option<Instant>,
    /// In ms, as the next: durations are four times as large, and every socket has them.
    interval: u32,
    timeout: u32,
}

/// The moments at which the timers of idle sockets fire. They are the same for all sockets of a node, so that one wake-up of its thread
/// serves many: thousands of sockets would wake it a thousand times a second otherwise.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ticks {
    start: Instant,
}

/// Interval of the moments. The pings of 20,000 sockets are some 80 at a time then.
const TICK: Duration = Duration::from_millis(100);

impl Ticks {
    pub(super) fn new(start: Instant) -> Self {
        Self { start }
    }

    /// The first moment that is not before `at`.
    pub(super) fn after(self, at: Instant) -> Instant {
        let past = at.saturating_duration_since(self.start).as_nanos() % TICK.as_nanos();
        let past = Duration::from_nanos(u64::try_from(past).unwrap_or(0));
        if past.is_zero() { at } else { at + TICK.saturating_sub(past) }
    }
}

/// The action when the timer fires.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Beat {
    /// Nothing, because there was a sign of life.
    Wait,
    /// Send a ping.
    Ping,
    /// Close the socket: the peer is lost.
    Lost,
}

impl Heartbeat {
    /// `jitter` between 0 and 1 spreads the pings of many sockets over two fifths of the interval.
    pub(super) fn new(now: Instant, interval: Duration, timeout: Duration, jitter: f64) -> Self {
        let interval = interval.mul_f64(0.8 + 0.4 * jitter.clamp(0.0, 1.0));
        let millis = |time: Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
        Self { heard: now, pinged: None, interval: millis(interval), timeout: millis(timeout) }
    }

    /// The peer sent something. Returns whether it was pinged before, so that [`Self::next`] is later now.
    pub(super) fn heard(&mut self, now: Instant) -> bool {
        self.heard = now;
        self.pinged.take().is_some()
    }

    /// Records an additional ping. A peer that does not answer it is lost after the usual time.
    pub(super) fn ask(&mut self, now: Instant) {
        self.pinged.get_or_insert(now);
    }

    /// When the timer fires next.
    pub(super) fn next(&self) -> Instant {
        let (since, wait) = self.pinged.map_or((self.heard, self.interval), |pinged| (pinged, self.timeout));
        since + Duration::from_millis(wait.into())
    }

    /// The timer has fired.
    pub(super) fn fire(&mut self, now: Instant) -> Beat {
        if now < self.next() {
            return Beat::Wait;
        }
        if self.pinged.is_some() {
            return Beat::Lost;
        }
        self.pinged = Some(now);
        Beat::Ping
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn silence_is_pinged_and_then_lost() {
        let second = Duration::from_secs(1);
        let start = Instant::now();
        let mut heart = Heartbeat::new(start, 10 * second, 5 * second, 0.5);
        assert_eq!(heart.next(), start + 10 * second);
        assert_eq!(heart.fire(start + 9 * second), Beat::Wait);
        assert_eq!(heart.fire(start + 10 * second), Beat::Ping);
        assert_eq!(heart.next(), start + 15 * second);
        assert!(heart.heard(start + 12 * second), "it was pinged");
        assert_eq!(heart.next(), start + 22 * second);
        assert!(!heart.heard(start + 12 * second));
        assert_eq!(heart.fire(start + 15 * second), Beat::Wait);
        assert_eq!(heart.fire(start + 22 * second), Beat::Ping);
        assert_eq!(heart.fire(start + 27 * second), Beat::Lost);
    }

    #[tokio::test(start_paused = true)]
    async fn asking_again_and_again_does_not_keep_a_dead_peer() {
        let second = Duration::from_secs(1);
        let start = Instant::now();
        let mut heart = Heartbeat::new(start, 25 * second, 20 * second, 0.5);
        for asked in [3, 8, 13, 18] {
            heart.ask(start + asked * second);
        }
        assert_eq!(heart.next(), start + 23 * second);
        heart.heard(start + 20 * second);
        assert_eq!(heart.next(), start + 45 * second);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pong_within_the_same_tick_of_the_clock_counts() {
        let second = Duration::from_secs(1);
        let start = Instant::now();
        let mut heart = Heartbeat::new(start, 10 * second, 5 * second, 0.5);
        assert_eq!(heart.fire(start + 10 * second), Beat::Ping);
        heart.heard(start + 10 * second);
        assert_eq!(heart.fire(start + 15 * second), Beat::Wait);
        assert_eq!(heart.fire(start + 20 * second), Beat::Ping);
    }

    #[test]
    fn timers_fire_together_and_never_early() {
        let start = Instant::now();
        let ticks = Ticks::new(start);
        let after = |millis| ticks.after(start + Duration::from_millis(millis)) - start;
        for (at, tick) in [(0, 0), (1, 100), (99, 100), (100, 100), (101, 200), (25_050, 25_100)] {
            assert_eq!(after(at), Duration::from_millis(tick), "{at}");
        }
        assert_eq!(ticks.after(start + Duration::from_nanos(1)) - start, TICK);
    }

    #[test]
    fn jitter_spreads() {
        let now = Instant::now();
        let at = |jitter| Heartbeat::new(now, Duration::from_secs(25), Duration::ZERO, jitter).next() - now;
        assert_eq!((at(0.0), at(1.0)), (Duration::from_secs(20), Duration::from_secs(30)));
    }
}
