use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
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
    /// It took back one request after another.
    Resets,
}

/// Requests that a client may take back within a second before its connection is closed. A page that is left takes back what it still loads.
const MOST_RESETS: u32 = 100;
const RESETS_WITHIN: Duration = Duration::from_secs(1);

/// What an HTTP connection is doing: the stream records reads and writes, the service records requests and answers. hyper has only one
/// deadline for both the pause before a request and its head, but load balancers keep idle connections for a minute, and a head must not
/// take that long.
///
/// A connection of HTTP/2 has many requests at once, and sockets among them. While there is a socket, none of these deadlines counts: the
/// sockets' own pings tell whether the client lives.
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
    /// `Some` for HTTP/2.
    streams: Option<Streams>,
}

#[derive(Debug)]
struct Streams {
    /// Requests that are being answered.
    requests: u32,
    sockets: u32,
    /// The client was told, or is to be told, that the connection ends.
    leaving: bool,
    /// Requests that were taken back, since when; `None` if the other end is a proxy: those of many come on one connection.
    resets: Option<(u32, Instant)>,
}

/// A request that is being answered, until this is dropped.
#[derive(Debug)]
pub(super) struct Asked {
    pulse: Arc<Pulse>,
    /// The whole answer was handed over.
    pub(super) done: bool,
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
            Self::Resets => "it took back too many requests",
        })
    }
}

impl Pulse {
    pub(super) fn new() -> Self {
        let state =
            State { stage: Stage::Head, since: Instant::now(), stuck: None, shed: false, waker: None, streams: None };
        Self { state: Mutex::new(state), over: AtomicBool::new(false) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its requests come over HTTP/2 from now on.
    pub(super) fn has_streams(&self, of_a_client: bool) {
        let resets = of_a_client.then(|| (0, Instant::now()));
        self.state().streams = Some(Streams { requests: 0, sockets: 0, leaving: false, resets });
    }

    /// Records that bytes arrived.
    pub(super) fn heard(&self) {
        let mut state = self.state();
        // Over HTTP/2 they need not be those of a request.
        if state.stage == Stage::Idle && state.streams.is_none() {
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
    pub(super) fn asked(self: &Arc<Self>) -> Asked {
        let mut state = self.state();
        state.stage = Stage::Answer;
        // It was about to ask.
        state.shed = false;
        if let Some(streams) = &mut state.streams {
            streams.requests += 1;
        }
        Asked { pulse: Arc::clone(self), done: false }
    }

    /// Records that the whole answer was handed over, or that nobody wants it any more.
    fn answered(&self, done: bool) {
        let mut state = self.state();
        if let Some(streams) = &mut state.streams {
            streams.requests = streams.requests.saturating_sub(1);
            if let Some((count, since)) = streams.resets.as_mut().filter(|_| !done) {
                let now = Instant::now();
                if now - *since > RESETS_WITHIN {
                    (*count, *since) = (0, now);
                }
                *count += 1;
            }
        }
        state.rest();
    }

    /// Records that a stream has become a socket.
    pub(super) fn socket_began(&self) {
        let mut state = self.state();
        state.stage = Stage::Answer;
        if let Some(streams) = &mut state.streams {
            streams.sockets += 1;
        }
        state.wake();
    }

    /// Records that such a socket has ended.
    pub(super) fn socket_ended(&self) {
        let mut state = self.state();
        if let Some(streams) = &mut state.streams {
            streams.sockets = streams.sockets.saturating_sub(1);
        }
        state.rest();
    }

    /// Whether there is a socket on one of its streams.
    pub(super) fn has_sockets(&self) -> bool {
        self.state().has_sockets()
    }

    /// Whether this reason to end it is first told to the client. Over HTTP/2 it can be told, so that no request is lost on its way.
    pub(super) fn says_goodbye(&self, why: Overdue) -> bool {
        let mut state = self.state();
        let Some(streams) = state.streams.as_mut().filter(|streams| why == Overdue::Idle && !streams.leaving) else {
            return false;
        };
        streams.leaving = true;
        state.since = Instant::now();
        true
    }

    /// Whether the client is to be told that it ends.
    pub(super) fn is_leaving(&self) -> bool {
        self.state().streams.as_ref().is_some_and(|streams| streams.leaving)
    }

    /// Since when the client is expected to send something; `None` while it is being answered, or told to leave.
    pub(super) fn waits_since(&self) -> Option<Instant> {
        let state = self.state();
        (state.stage != Stage::Answer && !state.shed).then_some(state.since)
    }

    /// Ends the connection as soon as its task runs, unless that finds another request.
    pub(super) fn shed(&self) {
        let mut state = self.state();
        state.shed = true;
        state.wake();
    }

    /// When the connection is to be ended, and why. `waker` is woken if that changes from outside.
    pub(super) fn due(&self, patience: &Patience, waker: &Waker) -> Option<(Instant, Overdue)> {
        let mut state = self.state();
        if state.shed && state.stage != Stage::Answer {
            return Some((state.since, Overdue::Shed));
        }
        if !state.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            state.waker = Some(waker.clone());
        }
        let resets = state.streams.as_ref().and_then(|streams| streams.resets);
        if resets.is_some_and(|(count, _)| count > MOST_RESETS) {
            return Some((state.since, Overdue::Resets));
        }
        if state.has_sockets() {
            return None;
        }
        let due = match state.stage {
            Stage::Head => Some((state.since + patience.head, Overdue::Head)),
            Stage::Idle if state.streams.as_ref().is_some_and(|streams| streams.leaving) => {
                Some((state.since + patience.write, Overdue::Idle))
            }
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

impl State {
    fn has_sockets(&self) -> bool {
        self.streams.as_ref().is_some_and(|streams| streams.sockets > 0)
    }

    /// Something has ended. If it was the last, the client's turn begins.
    fn rest(&mut self) {
        if self.streams.as_ref().is_none_or(|streams| streams.requests + streams.sockets == 0) {
            self.stage = Stage::Idle;
            self.since = Instant::now();
        }
        if self.streams.is_some() {
            // It happens in the task of a stream.
            self.wake();
        }
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.pulse.answered(self.done);
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
        let pulse = Arc::new(Pulse::new());
        let due = || pulse.due(&PATIENCE, Waker::noop()).map(|(due, why)| (due - Instant::now(), why));
        assert_eq!(due(), Some((10 * SECOND, Overdue::Head)));
        tokio::time::advance(4 * SECOND).await;
        pulse.heard();
        assert_eq!(due(), Some((6 * SECOND, Overdue::Head)), "more of a head gives it no more time");
        let asked = pulse.asked();
        assert_eq!(due(), None);
        assert_eq!(pulse.waits_since(), None);
        pulse.wrote(false);
        tokio::time::advance(SECOND).await;
        pulse.wrote(false);
        assert_eq!(due(), Some((9 * SECOND, Overdue::Write)));
        pulse.wrote(true);
        drop(asked);
        assert_eq!(due(), Some((75 * SECOND, Overdue::Idle)));
        tokio::time::advance(70 * SECOND).await;
        pulse.heard();
        assert_eq!(due(), Some((10 * SECOND, Overdue::Head)), "another request has begun");
        pulse.shed();
        drop(pulse.asked());
        assert!(due().is_some_and(|(_, why)| why == Overdue::Idle), "it had another request on its way");
        pulse.shed();
        assert!(due().is_some_and(|(left, why)| left.is_zero() && why == Overdue::Shed));
        assert_eq!(pulse.waits_since(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn many_streams_are_one_connection() {
        let pulse = Arc::new(Pulse::new());
        pulse.has_streams(true);
        let due = || pulse.due(&PATIENCE, Waker::noop()).map(|(due, why)| (due - Instant::now(), why));
        let (first, second) = (pulse.asked(), pulse.asked());
        drop(first);
        assert_eq!((due(), pulse.waits_since()), (None, None), "the other is being answered");
        pulse.socket_began();
        drop(second);
        pulse.wrote(false);
        tokio::time::advance(60 * SECOND).await;
        assert_eq!(
            (due(), pulse.waits_since(), pulse.has_sockets()),
            (None, None, true),
            "a socket has rules of its own"
        );
        pulse.wrote(true);
        pulse.socket_ended();
        assert_eq!(due(), Some((75 * SECOND, Overdue::Idle)));
        tokio::time::advance(70 * SECOND).await;
        pulse.heard();
        assert_eq!(due(), Some((5 * SECOND, Overdue::Idle)), "a ping is no request");
        assert!(pulse.says_goodbye(Overdue::Idle) && pulse.is_leaving() && !pulse.says_goodbye(Overdue::Idle));
        assert_eq!(due(), Some((10 * SECOND, Overdue::Idle)));
    }

    #[tokio::test(start_paused = true)]
    async fn requests_that_are_taken_back_have_a_bound() {
        let pulse = Arc::new(Pulse::new());
        pulse.has_streams(true);
        let is_over = || pulse.due(&PATIENCE, Waker::noop()).is_some_and(|(_, why)| why == Overdue::Resets);
        for _ in 0..10 {
            for _ in 0..MOST_RESETS {
                drop(pulse.asked());
            }
            assert!(!is_over());
            tokio::time::advance(2 * RESETS_WITHIN).await;
        }
        for _ in 0..=MOST_RESETS {
            drop(pulse.asked());
        }
        assert!(is_over());
        pulse.has_streams(false);
        for _ in 0..10 * MOST_RESETS {
            drop(pulse.asked());
        }
        assert!(!is_over(), "a proxy");
    }
}
