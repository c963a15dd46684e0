use std::{
    fmt,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::Waker,
    time::Duration,
};

use tokio::time::Instant;

/// Deadlines of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For the head of a request, from its first byte; for the first request of a connection, from the connection's beginning.
    pub head: Duration,
    /// For the beginning of another request after an answer.
    pub keep_alive: Duration,
    /// For receiving each piece of an answer.
    pub write: Duration,
}

/// Why this side ends a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Overdue {
    Head,
    Idle,
    Write,
    /// Another connection needs its place.
    Shed,
}

/// What an HTTP connection is doing: the stream records reads and writes, the service records requests and answers. hyper has only one
/// deadline for both the pause before a request and its head, but load balancers keep idle connections for a minute, and a head must not
/// take that long.
#[derive(Debug)]
pub(super) struct Pulse {
    state: Mutex<State>,
    /// It is no longer an HTTP connection.
    over: AtomicBool,
}

#[derive(Debug)]
struct State {
    stage: Stage,
    since: Instant,
    /// Since when none of the bytes that wait could be written.
    stuck: Option<Instant>,
    shed: bool,
    waker: Option<Waker>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// A request is being sent.
    Head,
    /// A request is being answered.
    Answer,
    /// Everything that was requested is answered.
    Idle,
}

impl fmt::Display for Overdue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Head => "it did not send a whole request head in time",
            Self::Idle => "it was idle",
            Self::Write => "it did not read its answer",
            Self::Shed => "others need its place",
        })
    }
}

impl Pulse {
    pub(super) fn new() -> Self {
        let state = State { stage: Stage::Head, since: Instant::now(), stuck: None, shed: false, waker: None };
        Self { state: Mutex::new(state), over: AtomicBool::new(false) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that bytes arrived.
    pub(super) fn heard(&self) {
        let mut state = self.state();
        if state.stage == Stage::Idle {
            state.stage = Stage::Head;
            state.since = Instant::now();
        }
    }

    /// Records that bytes were written, or cannot be written for now.
    pub(super) fn wrote(&self, moved: bool) {
        let mut state = self.state();
        state.stuck = if moved { None } else { state.stuck.or_else(|| Some(Instant::now())) };
    }

    /// Records that a whole head has arrived.
    pub(super) fn asked(&self) {
        self.state().stage = Stage::Answer;
    }

    /// Records that the whole answer was handed over.
    pub(super) fn answered(&self) {
        let mut state = self.state();
        state.stage = Stage::Idle;
        state.since = Instant::now();
    }

    /// Since when the client is expected to send something; `None` while it is being answered, or told to leave.
    pub(super) fn waits_since(&self) -> Option<Instant> {
        let state = self.state();
        (state.stage != Stage::Answer && !state.shed).then_some(state.since)
    }

    /// Ends the connection as soon as its task runs.
    pub(super) fn shed(&self) {
        let mut state = self.state();
        state.shed = true;
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }

    /// When the connection is to be ended, and why. `waker` is woken if that changes from outside.
    pub(super) fn due(&self, patience: &Patience, waker: &Waker) -> Option<(Instant, Overdue)> {
        let mut state = self.state();
        if state.shed {
            return Some((state.since, Overdue::Shed));
        }
        if !state.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            state.waker = Some(waker.clone());
        }
        let due = match state.stage {
            Stage::Head => Some((state.since + patience.head, Overdue::Head)),
            Stage::Idle => Some((state.since + patience.keep_alive, Overdue::Idle)),
            Stage::Answer => None,
        };
        let write = state.stuck.map(|since| (since + patience.write, Overdue::Write));
        due.into_iter().chain(write).min_by_key(|(due, _)| *due)
    }

    /// The connection has ended, or become a WebSocket.
    pub(super) fn finish(&self) {
        self.over.store(true, Ordering::Release);
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const PATIENCE: Patience =
        Patience { head: Duration::from_secs(10), keep_alive: Duration::from_secs(75), write: Duration::from_secs(10) };

    #[tokio::test(start_paused = true)]
    async fn each_stage_has_its_deadline() {
        let pulse = Pulse::new();
        let due = || pulse.due(&PATIENCE, Waker::noop()).map(|(due, why)| (due - Instant::now(), why));
        assert_eq!(due(), Some((10 * SECOND, Overdue::Head)));
        tokio::time::advance(4 * SECOND).await;
        pulse.heard();
        assert_eq!(due(), Some((6 * SECOND, Overdue::Head)), "more of a head gives it no more time");
        pulse.asked();
        assert_eq!(due(), None);
        assert_eq!(pulse.waits_since(), None);
        pulse.wrote(false);
        tokio::time::advance(SECOND).await;
        pulse.wrote(false);
        assert_eq!(due(), Some((9 * SECOND, Overdue::Write)));
        pulse.wrote(true);
        pulse.answered();
        assert_eq!(due(), Some((75 * SECOND, Overdue::Idle)));
        tokio::time::advance(70 * SECOND).await;
        pulse.heard();
        assert_eq!(due(), Some((10 * SECOND, Overdue::Head)), "another request has begun");
        pulse.shed();
        assert!(due().is_some_and(|(left, why)| left.is_zero() && why == Overdue::Shed));
        assert_eq!(pulse.waits_since(), None);
    }
}
