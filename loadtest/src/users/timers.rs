use std::time::{Duration, Instant};

use super::Behaviour;

/// Something that a user does by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Position,
    Heartbeat,
    Seek,
    Chat,
    Reload,
    Rejoin,
}

#[derive(Debug)]
struct Timer {
    action: Action,
    interval: Duration,
    due: Instant,
}

/// When a user does what. The intervals are fixed, whatever the server does.
#[derive(Debug)]
pub(super) struct Timers(Vec<Timer>);

impl Timers {
    /// Each timer begins at a random moment of its first interval.
    pub(super) fn new(behaviour: &Behaviour, host: bool) -> Self {
        let now = Instant::now();
        let actions = [
            (Action::Position, behaviour.position),
            (Action::Heartbeat, behaviour.heartbeat.filter(|_| host)),
            (Action::Seek, behaviour.seek.filter(|_| host)),
            (Action::Chat, behaviour.chat.filter(|_| host)),
            (Action::Reload, behaviour.reload.filter(|_| !host)),
            (Action::Rejoin, behaviour.rejoin.filter(|_| !host)),
        ];
        let timer = |(action, interval): (Action, Option<Duration>)| {
            let interval = interval?;
            Some(Timer { action, interval, due: now + interval.mul_f64(rand::random()) })
        };
        Self(actions.into_iter().filter_map(timer).collect())
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.0.iter().map(|timer| timer.due).min()
    }

    /// An action that is due, and since when.
    pub(super) fn take(&mut self, now: Instant) -> Option<(Action, Instant)> {
        let timer = self.0.iter_mut().min_by_key(|timer| timer.due).filter(|timer| timer.due <= now)?;
        let due = timer.due;
        timer.due += timer.interval;
        Some((timer.action, due))
    }

    /// Leaves out what became due while the user had no connection.
    pub(super) fn skip(&mut self, now: Instant) {
        for timer in &mut self.0 {
            while timer.due < now {
                timer.due += timer.interval;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_keep_their_intervals() {
        let second = Duration::from_secs(1);
        let behaviour = Behaviour { chat: Some(second), reload: Some(second * 9), ..Behaviour::QUIET };
        let mut timers = Timers::new(&behaviour, true);
        let first = timers.next().unwrap();
        assert_eq!(timers.take(first), Some((Action::Chat, first)));
        assert_eq!((timers.take(first), timers.next()), (None, Some(first + second)));
        timers.skip(first + Duration::from_millis(5_500));
        assert_eq!(timers.next(), Some(first + second * 6));
        assert!(Timers::new(&Behaviour::QUIET, false).next().is_none());
    }
}
