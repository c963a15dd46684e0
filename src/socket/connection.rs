use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::{FutureExt as _, StreamExt as _, future::Either};
use tokio::{
    task::{unconstrained, yield_now},
    time::{Instant, Sleep, sleep_until},
};
use tokio_tungstenite::tungstenite::{self, Message, Utf8Bytes, protocol::frame::coding::CloseCode};

use super::{
    client_session::ClientSession,
    end::{End, broken, part},
    heartbeat::{Beat, Heartbeat},
    opening::Opening,
    registry::Open,
    transport::Transport,
    upgrade::Gateway,
    write::{Done, done},
};
use crate::{
    hub::{Batch, Outbox, Prompt},
    protocol::{Close, Code, Received},
    telemetry::contained,
};

/// Number of frames after which a peer yields to the other tasks of its thread. Otherwise peers with full sockets would fill the outboxes
/// of their room before any task could write.
const FRAMES_PER_TURN: usize = 16;
/// The number of bytes that count as one more frame.
const BYTES_PER_FRAME: usize = 256;
/// The bytes of a control frame before what it carries: two, and the mask.
const CONTROL_HEADER: u32 = 6;
/// The code that tungstenite substitutes for an invalid one in a close frame.
const BAD_CLOSE_CODE: &str = "Protocol violation";

/// Reads, answers and writes until one side ends the connection. Not an `async fn`: those keep their arguments twice.
#[allow(clippy::manual_async_fn, reason = "see above")]
pub(super) fn run(
    mut socket: impl Transport,
    mut session: ClientSession,
    open: Open,
) -> impl Future<Output = ()> + Send {
    async move {
        let mut heart =
            Heartbeat::new(Instant::now(), session.gateway.ping_interval, session.gateway.ping_timeout, rand::random());
        let gateway = Arc::clone(&session.gateway);
        let mut connection =
            Connection { socket: &mut socket, outbox: &open.outbox, gateway: &gateway, prompt: None, asked: None };
        let opening = session.newcomer.as_mut().map(|newcomer| std::mem::take(&mut newcomer.opening));
        let begun = match opening.filter(|opening| !opening.is_empty()) {
            Some(opening) => contained(Box::pin(connection.begin(&mut session, opening))).await,
            None => Some(Ok(())),
        };
        let ended = match begun {
            Some(Ok(())) => contained(connection.converse(&mut session, &mut heart)).await,
            Some(Err(end)) => Some(end),
            None => None,
        };
        let end = if let Some(end) = ended {
            end
        } else {
            // The panic may have left the room in a wrong state.
            if let Some(room) = session.subject.room() {
                gateway.hub.resync_after_panic(&room);
            }
            End::Close(Close::Internal)
        };
        // Rarely used state is on the heap, so that idle sockets, which are most, stay small.
        Box::pin(part(socket, session, end)).await;
        drop(open);
    }
}

/// The length of what a message carries; control frames carry 125 bytes at most.
fn length(message: &Message) -> u32 {
    u32::try_from(message.len()).unwrap_or(u32::MAX - CONTROL_HEADER)
}

/// What a connection waits for.
enum Event {
    Timer,
    /// A message of the peer, or its end.
    Frame(Option<Result<Message, tungstenite::Error>>),
    Batch(Batch),
}

/// The connection of one peer while it is open.
pub(super) struct Connection<'a, T> {
    pub(super) socket: &'a mut T,
    pub(super) outbox: &'a Outbox,
    pub(super) gateway: &'a Gateway,
    /// Requests of other tasks that are not handled yet.
    pub(super) prompt: Option<Box<Prompt>>,
    /// Tasks that wait for a sign of life after a ping.
    asked: Option<Box<Prompt>>,
}

impl<T: Transport> Connection<'_, T> {
    /// Handles what the client said as it opened its socket.
    async fn begin(&mut self, session: &mut ClientSession, opening: Opening) -> Result<(), End> {
        let Opening { held, frames } = opening;
        session.held = held;
        // It may have been revoked since it was verified.
        if session.is_revoked() {
            return Err(End::Close(Close::TokenRevoked));
        }
        for text in frames {
            if session.seat.is_none() {
                let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
                self.answer(session, text.into(), length, Instant::now()).await?;
            }
        }
        Ok(())
    }

    /// The loop of the connection. What stands in it across an `await` is memory that every idle socket needs, so plain functions make the
    /// steps, and it waits for nothing but their results. No `async fn`, as above.
    #[allow(clippy::manual_async_fn, reason = "see above")]
    fn converse<'a>(
        &'a mut self,
        session: &'a mut ClientSession,
        heart: &'a mut Heartbeat,
    ) -> impl Future<Output = End> + Send + 'a {
        async move {
            let mut taken = 0;
            let timer = sleep_until(self.gateway.ticks.after(heart.next()));
            tokio::pin!(timer);
            loop {
                // Normally the task was woken for this, so the rest need not be checked first.
                if let Err(end) = self.write_waiting().await {
                    return end;
                }
                if let Err(end) = self.heed(session, heart).await {
                    return end;
                }
                if let Err(end) = self.try_again(session).await {
                    return end;
                }
                if taken >= FRAMES_PER_TURN {
                    taken = 0;
                    yield_now().await;
                }
                session.rest_if_in_debt(Instant::now());
                let held = session.budget.held_until().is_some();
                if session.budget.is_behind() && !held {
                    // Frames that were sent while nothing was read. After the last one the sender is no longer behind.
                    let frame = unconstrained(self.socket.next()).now_or_never();
                    if let Some(step) =
                        frame.map(|frame| self.on_message(session, (heart, timer.as_mut()), frame, &mut taken))
                    {
                        if let Err(end) = step.await {
                            return end;
                        }
                        continue;
                    }
                    session.budget.catch_up();
                }
                let asked = self.asked.as_ref().map(|_| heart.next());
                if let Some(at) = session.wakes_at().into_iter().chain(asked).min()
                    && at < timer.deadline()
                {
                    timer.as_mut().reset(at);
                }
                let mut woken = false;
                let step = match poll_fn(|context| self.poll_event(context, timer.as_mut(), !held, &mut woken)).await {
                    Event::Timer => self.beat(session, heart, timer.as_mut()),
                    Event::Frame(frame) => self.on_message(session, (heart, timer.as_mut()), frame, &mut taken),
                    Event::Batch(batch) => self.write(batch),
                };
                if let Err(end) = step.await {
                    return end;
                }
            }
        }
    }

    /// What comes next. The first look takes what came from outside first: neither a room that never rests nor a sender that never rests
    /// keeps the rest waiting, because the outbox was looked at just before. When the task is `woken` after that, it is mostly to write, so
    /// the outbox comes first then, and nothing else is polled twice for one frame. The order is fixed so that a simulation can be repeated.
    fn poll_event(
        &mut self,
        context: &mut Context<'_>,
        timer: Pin<&mut Sleep>,
        reads: bool,
        woken: &mut bool,
    ) -> Poll<Event> {
        let again = std::mem::replace(woken, true);
        if again && let Poll::Ready(batch) = self.outbox.poll_take(context) {
            return Poll::Ready(Event::Batch(batch));
        }
        if timer.poll(context).is_ready() {
            return Poll::Ready(Event::Timer);
        }
        if reads && let Poll::Ready(frame) = self.socket.poll_next_unpin(context) {
            return Poll::Ready(Event::Frame(frame));
        }
        if again { Poll::Pending } else { self.outbox.poll_take(context).map(Event::Batch) }
    }

    /// Handles the timer: the peer is pinged, given up, or read again.
    fn beat(&mut self, session: &mut ClientSession, heart: &mut Heartbeat, timer: Pin<&mut Sleep>) -> Done<'_> {
        let now = Instant::now();
        if session.newcomer.as_ref().is_some_and(|newcomer| newcomer.joins_by.is_some_and(|by| by <= now)) {
            return done(Err(End::Close(Close::NeverJoined)));
        }
        if let Some(close) = session.check_token(now) {
            return done(Err(End::Close(close)));
        }
        if session.stalls(self.socket.unfinished() > 0) {
            return done(Err(End::Close(Close::UnfinishedMessage)));
        }
        if session.budget.release(now) {
            // While nothing was read no sign of life could be noticed.
            heart.heard(now);
        }
        let until = session.budget.held_until();
        let beat = if until.is_some() { Beat::Wait } else { heart.fire(now) };
        timer.reset(until.unwrap_or_else(|| self.gateway.ticks.after(heart.next())));
        match beat {
            Beat::Wait => done(Ok(())),
            Beat::Ping => self.feed([Message::Ping(bytes::Bytes::new())], None),
            Beat::Lost => done(Err(End::Close(Close::HeartbeatLost))),
        }
    }

    /// Handles a message of the peer, or its end.
    fn on_message<'a>(
        &'a mut self,
        session: &'a mut ClientSession,
        (heart, timer): (&mut Heartbeat, Pin<&mut Sleep>),
        frame: Option<Result<Message, tungstenite::Error>>,
        taken: &mut usize,
    ) -> Done<'a> {
        let came = Instant::now();
        let was_pinged = heart.heard(came);
        match frame {
            Some(Ok(frame)) => {
                // A close frame is no sign of life: the peer need not have read anything.
                if !frame.is_close()
                    && let Some(asked) = self.asked.take()
                {
                    for asker in asked.askers {
                        // The task that asked may have given up.
                        let _ = asker.send(());
                    }
                }
                // A control frame may stand within a message. It is short, and then a client's header has six bytes.
                let whole = frame.is_text() || frame.is_binary();
                let bytes = if whole { self.socket.unfinished() } else { CONTROL_HEADER + length(&frame) };
                self.socket.forget(bytes);
                if was_pinged && self.socket.unfinished() == 0 {
                    // Otherwise the task would be woken when the answer would be late, to find that there is nothing to do.
                    timer.reset(self.gateway.ticks.after(heart.next()));
                }
                match frame {
                    Message::Text(text) => {
                        session.stalls(false);
                        *taken += 1 + text.len() / BYTES_PER_FRAME;
                        self.answer(session, text, bytes, came)
                    }
                    other => done(self.other(session, &other, bytes, came)),
                }
            }
            None => done(Err(End::Gone)),
            Some(Err(error)) => done(Err(broken(&error))),
        }
    }

    /// Handles the requests of other tasks, if there are any.
    fn heed(&mut self, session: &mut ClientSession, heart: &mut Heartbeat) -> Done<'_> {
        let Some(prompt) = self.prompt.take() else { return done(Ok(())) };
        if prompt.check_token && session.is_revoked() {
            return done(Err(End::Close(Close::TokenRevoked)));
        }
        if prompt.try_again {
            session.prompt();
        }
        if prompt.left_out > 0 {
            session.left_out(prompt.left_out);
        }
        if prompt.askers.is_empty() {
            return done(Ok(()));
        }
        heart.ask(Instant::now());
        self.asked.get_or_insert_default().merge(*prompt);
        self.feed([Message::Ping(bytes::Bytes::new())], None)
    }

    /// Retries the waiting JOIN if it is due. Meanwhile the connection continues to write.
    fn try_again<'a>(&'a mut self, session: &'a mut ClientSession) -> Done<'a> {
        if !session.is_due() {
            return done(Ok(()));
        }
        let mut work = Box::pin(async move { session.try_again().await });
        match (&mut work).now_or_never() {
            Some(()) => done(Ok(())),
            None => Either::Right(Box::pin(self.write_while(work))),
        }
    }

    /// Passes a frame to the session. Meanwhile the connection continues to write.
    fn answer<'a>(&'a mut self, session: &'a mut ClientSession, text: Utf8Bytes, read: u32, came: Instant) -> Done<'a> {
        let received = self.gateway.clock.now();
        if let Err(wait) = session.admit(&text, read, received) {
            let pong = session.turn_away(&text, wait, received);
            return self.pong(pong);
        }
        let accounts = [session.account.clone(), session.held.as_ref().map(|held| Arc::clone(held.account()))];
        let mut work = Box::pin(async move { session.handle_text(&text, received, came).await });
        let done_at_once = (&mut work).now_or_never();
        for account in accounts.into_iter().flatten() {
            account.spend_cpu(came.elapsed(), || self.gateway.clock.now());
        }
        match done_at_once {
            Some(pong) => self.pong(pong),
            None => Either::Right(Box::pin(async move {
                let pong = self.write_while(work).await?;
                self.pong(pong).await
            })),
        }
    }

    /// Handles a frame that is not text; `read` as in [`Self::answer`].
    fn other(&self, session: &mut ClientSession, frame: &Message, read: u32, came: Instant) -> Result<(), End> {
        match frame {
            Message::Close(Some(frame))
                if frame.code == CloseCode::Protocol && frame.reason.as_str() == BAD_CLOSE_CODE =>
            {
                tracing::info!(fault = "a close code that may not be sent", "the client broke RFC 6455");
                return Err(End::Broken(Close::Protocol));
            }
            Message::Close(_) => return Err(End::Closed),
            Message::Binary(_) => {
                let read = read.max(length(frame));
                self.gateway.metrics.received.inc(Received::Invalid);
                let now = self.gateway.clock.now();
                match session.admit("", read, now) {
                    Ok(()) => session.error(None, Code::InvalidMessage, "binary frames have no meaning here", None),
                    Err(wait) => session.limited(None, false, wait, now),
                }
                session.spend_cpu(came);
            }
            _ => {
                let now = self.gateway.clock.now();
                if let Err(wait) = session.admit("", 0, now) {
                    session.limited(None, false, wait, now);
                }
            }
        }
        Ok(())
    }
}
