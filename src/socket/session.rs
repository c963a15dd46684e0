use std::{
    collections::VecDeque,
    future::{Future, Ready, poll_fn, ready},
    sync::Arc,
    time::Duration,
};

use futures_util::{
    FutureExt as _, Sink, SinkExt as _, StreamExt as _,
    future::{BoxFuture, Either},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy, sink},
    task::{unconstrained, yield_now},
    time::{Instant, sleep_until, timeout},
};
use tokio_tungstenite::tungstenite::{
    self, Message, Utf8Bytes,
    error::ProtocolError,
    protocol::{CloseFrame, frame::coding::CloseCode},
};

use super::{
    handshake::Socket,
    heartbeat::{Beat, Heartbeat},
    registry::Open,
    speaker::Speaker,
    upgrade::Door,
};
use crate::{
    hub::{Batch, Outbox, Prompt},
    protocol::{Close, Code, Frame, Received, Sent, ServerFrame, decode, encode},
    telemetry::{Parting, contained},
};

/// Frames of a peer that are still read once it has been told to go, until its own close comes.
const LAST_FRAMES: usize = 1_000;
/// How much a peer may say before the others of its thread have a turn. Otherwise some who have filled their sockets would fill the
/// outboxes of their room before anybody there could write.
const WORDS: usize = 16;
/// So many bytes count as another word.
const BYTES_PER_WORD: usize = 256;
/// How long the last words to a peer may take.
const FAREWELL: Duration = Duration::from_secs(2);
/// How many bytes of a peer that cannot be understood are thrown away until it has read why.
const LEAVINGS: u64 = 4 * 1024 * 1024;
/// What tungstenite itself answers to a close frame whose code may not be sent, and then shows in its place.
const BAD_CLOSE_CODE: &str = "Protocol violation";

/// The life of a socket: reads, answers, writes, until one side ends it. Not an `async fn`: those keep their arguments twice.
#[allow(clippy::manual_async_fn, reason = "see above")]
pub(super) fn run(mut socket: Socket, mut speaker: Speaker, open: Open) -> impl Future<Output = ()> {
    async move {
        let mut heart =
            Heartbeat::new(Instant::now(), speaker.door.ping_interval, speaker.door.ping_timeout, rand::random());
        let door = Arc::clone(&speaker.door);
        let mut wire = Wire { socket: &mut socket, outbox: &open.outbox, door: &door, prompt: None, asked: None };
        let end = if let Some(end) = contained(wire.converse(&mut speaker, &mut heart)).await {
            end
        } else {
            // What the bug left behind in the room is not to be trusted.
            if let Some(room) = speaker.subject.room() {
                door.hub.distrust(&room);
            }
            End::Close(Close::Internal)
        };
        // What is needed once is on the heap: idle sockets, which are most, stay small.
        Box::pin(part(socket, speaker, end)).await;
        drop(open);
    }
}

/// The seat is given back at once: a peer that is slow to close must not look present.
async fn part(mut socket: Socket, speaker: Speaker, end: End) {
    let is_broken = matches!(end, End::Broken(_));
    let close = match end {
        End::Close(close) | End::Broken(close) => close,
        End::Closed => {
            speaker.door.metrics.partings.inc(Parting::Closed);
            tracing::info!(by = "client", "closed");
            // The peer's close frame has its answer waiting.
            let _ = tokio::join!(timeout(FAREWELL, socket.flush()), speaker.depart());
            return;
        }
        End::Gone => {
            speaker.door.metrics.partings.inc(Parting::Gone);
            tracing::info!(by = "network", reason = "gone without a close frame", "closed");
            return speaker.depart().await;
        }
    };
    let door = Arc::clone(&speaker.door);
    door.metrics.closes.inc(close);
    tracing::info!(by = "server", code = close.code(), reason = close.reason(), "closed");
    let frame = CloseFrame { code: close.code().into(), reason: close.reason().into() };
    let farewell = async {
        let told = answer_the_rest(&mut socket, &door, close).await.is_ok()
            && socket.send(Message::Close(Some(frame))).await.is_ok();
        if is_broken {
            // A close frame with a bad code has its answer waiting, as any other has.
            if !told {
                let _ = socket.flush().await;
            }
            hear_out(&mut socket).await;
        } else if told {
            // What it sent before it knew; not more than it could have. It cannot be answered any more.
            for _ in 0..LAST_FRAMES {
                match socket.next().await {
                    Some(Ok(Message::Text(_))) => door.metrics.received.inc(Received::Dropped),
                    Some(Ok(_)) => {}
                    _ => break,
                }
            }
        }
    };
    let (_, ()) = tokio::join!(timeout(FAREWELL, farewell), speaker.depart());
}

/// Nothing can be said after a close frame. So frames that are here already are answered before it, if they have an `id`.
async fn answer_the_rest(socket: &mut Socket, door: &Door, close: Close) -> Result<(), tungstenite::Error> {
    let code = match close {
        Close::Left | Close::Kicked | Close::SeatLost => Code::NotJoined,
        Close::Policy => Code::RateLimited,
        Close::Draining | Close::TryLater => Code::Unavailable,
        // Such a socket cannot be read any further, or does not read.
        Close::TooLarge
        | Close::Protocol
        | Close::NotUtf8
        | Close::SlowConsumer
        | Close::HeartbeatLost
        | Close::Internal => return Ok(()),
    };
    for _ in 0..LAST_FRAMES {
        let Some(Some(Ok(frame))) = unconstrained(socket.next()).now_or_never() else { break };
        let Message::Text(text) = frame else { continue };
        door.metrics.received.inc(Received::Dropped);
        let id = decode(&text).map_or_else(|error| error.id, |inbound| inbound.id);
        if id.is_none() {
            continue;
        }
        door.metrics.errors.inc(code);
        door.metrics.sent.inc(Sent::Error);
        let (retryable, id) = (code.retryable(), id.as_ref());
        let error = ServerFrame::Error { code, message: close.reason(), retryable, retry_after_ms: None, id };
        socket.feed(Message::Text(encode(&error))).await?;
    }
    Ok(())
}

/// Nothing that it says can be read any more, but if it were not listened to it would get a reset, which may overtake the close frame.
async fn hear_out(socket: &mut Socket) {
    let stream = socket.get_mut();
    if stream.shutdown().await.is_ok() {
        let _ = copy(&mut stream.take(LEAVINGS), &mut sink()).await;
    }
}

/// Why a conversation is over.
enum End {
    /// The peer is gone.
    Gone,
    /// The peer said goodbye.
    Closed,
    /// This side ends it.
    Close(Close),
    /// The peer has done what RFC 6455 forbids, so that nothing more of it can be read.
    Broken(Close),
}

struct Wire<'a> {
    socket: &'a mut Socket,
    outbox: &'a Outbox,
    door: &'a Door,
    /// What others want of this task, until it gets to that.
    prompt: Option<Box<Prompt>>,
    /// Those who wait for a sign of life of the peer, which was pinged for them.
    asked: Option<Box<Prompt>>,
}

/// What is done at once, or, on the heap, what has to be waited for: so that idle sockets, which are most, stay small.
type Done<'a> = Either<Ready<Result<(), End>>, BoxFuture<'a, Result<(), End>>>;

fn done<'a>(how: Result<(), End>) -> Done<'a> {
    Either::Left(ready(how))
}

impl Wire<'_> {
    async fn converse(&mut self, speaker: &mut Speaker, heart: &mut Heartbeat) -> End {
        let mut spoken = 0;
        let timer = sleep_until(heart.next());
        tokio::pin!(timer);
        loop {
            // As a rule that is what the task was woken for: no need to look at everything else before.
            if let Some(batch) = self.outbox.try_take()
                && let Err(end) = self.write(batch).await
            {
                return end;
            }
            if let Some(prompt) = self.prompt.take()
                && let Err(end) = self.heed(*prompt, speaker, heart).await
            {
                return end;
            }
            if speaker.is_due()
                && let Err(end) = self.try_again(speaker).await
            {
                return end;
            }
            if spoken >= WORDS {
                spoken = 0;
                yield_now().await;
            }
            let held = speaker.budget.held_until().is_some();
            if speaker.budget.is_behind() && !held {
                // Frames that were sent while nothing was read. Once there are none the sender has its credit back.
                if let Some(frame) = unconstrained(self.socket.next()).now_or_never() {
                    if let Err(end) = self.hear(speaker, heart, frame, &mut spoken).await {
                        return end;
                    }
                    continue;
                }
                speaker.budget.catch_up();
            }
            if let Some(at) = speaker.wakes_at().into_iter().chain(self.asked.as_ref().map(|_| heart.next())).min()
                && at < timer.deadline()
            {
                timer.as_mut().reset(at);
            }
            // In no fixed order: neither a room that never rests nor a sender that never rests keeps the rest waiting.
            let step = tokio::select! {
                batch = self.outbox.take() => self.write(batch),
                () = &mut timer => {
                    let now = Instant::now();
                    if speaker.budget.release(now) {
                        // While nothing was read nothing could be heard.
                        heart.heard(now);
                    }
                    let until = speaker.budget.held_until();
                    let beat = if until.is_some() { Beat::Wait } else { heart.fire(now) };
                    timer.as_mut().reset(until.unwrap_or_else(|| heart.next()));
                    match beat {
                        Beat::Wait => done(Ok(())),
                        Beat::Ping => self.feed([Message::Ping(bytes::Bytes::new())], None),
                        Beat::Lost => done(Err(End::Close(Close::HeartbeatLost))),
                    }
                }
                frame = self.socket.next(), if !held => self.hear(speaker, heart, frame, &mut spoken),
            };
            if let Err(end) = step.await {
                return end;
            }
        }
    }

    /// What came from the peer, or its end.
    fn hear<'a>(
        &'a mut self,
        speaker: &'a mut Speaker,
        heart: &mut Heartbeat,
        frame: Option<Result<Message, tungstenite::Error>>,
        spoken: &mut usize,
    ) -> Done<'a> {
        let came = Instant::now();
        heart.heard(came);
        match frame {
            Some(Ok(frame)) => {
                // A goodbye says neither that the peer stays nor that it has read anything.
                if !frame.is_close()
                    && let Some(asked) = self.asked.take()
                {
                    for asker in asked.askers {
                        // Whoever gave up waiting does not hear it.
                        let _ = asker.send(());
                    }
                }
                match frame {
                    Message::Text(text) => {
                        *spoken += 1 + text.len() / BYTES_PER_WORD;
                        self.answer(speaker, text, came)
                    }
                    other => done(self.other(speaker, &other)),
                }
            }
            None => done(Err(End::Gone)),
            Some(Err(error)) => done(Err(broken(&error))),
        }
    }

    /// Does what others want of this task.
    fn heed(&mut self, prompt: Prompt, speaker: &mut Speaker, heart: &mut Heartbeat) -> Done<'_> {
        if prompt.try_again {
            speaker.prompt();
        }
        if prompt.askers.is_empty() {
            return done(Ok(()));
        }
        heart.ask(Instant::now());
        self.asked.get_or_insert_default().merge(prompt);
        self.feed([Message::Ping(bytes::Bytes::new())], None)
    }

    /// A JOIN that waits is decided once more; while that takes time, goes on writing.
    fn try_again<'a>(&'a mut self, speaker: &'a mut Speaker) -> Done<'a> {
        let mut work = Box::pin(async move { speaker.try_again().await });
        match (&mut work).now_or_never() {
            Some(()) => done(Ok(())),
            None => Either::Right(Box::pin(self.write_while(work))),
        }
    }

    /// Hands a frame over; while that takes time, goes on writing.
    fn answer<'a>(&'a mut self, speaker: &'a mut Speaker, text: Utf8Bytes, came: Instant) -> Done<'a> {
        let received = self.door.clock.now();
        if let Err(wait) = speaker.admit(text.len(), received) {
            let pong = speaker.turn_away(&text, wait, received);
            return self.pong(pong);
        }
        let mut work = Box::pin(async move { speaker.hear(&text, received, came).await });
        match (&mut work).now_or_never() {
            Some(pong) => self.pong(pong),
            None => Either::Right(Box::pin(async move {
                let pong = self.write_while(work).await?;
                self.pong(pong).await
            })),
        }
    }

    fn pong(&mut self, pong: Option<Frame>) -> Done<'_> {
        let Some(pong) = pong else { return done(Ok(())) };
        self.door.metrics.sent.inc(Sent::Pong);
        self.door.metrics.writes.inc();
        self.feed([Message::Text(pong)], None)
    }

    /// A frame that is no text.
    fn other(&self, speaker: &mut Speaker, frame: &Message) -> Result<(), End> {
        match frame {
            Message::Close(Some(frame))
                if frame.code == CloseCode::Protocol && frame.reason.as_str() == BAD_CLOSE_CODE =>
            {
                tracing::info!(fault = "a close code that may not be sent", "the client broke RFC 6455");
                return Err(End::Broken(Close::Protocol));
            }
            Message::Close(_) => return Err(End::Closed),
            Message::Binary(_) => {
                self.door.metrics.received.inc(Received::Invalid);
                let now = self.door.clock.now();
                match speaker.admit(0, now) {
                    Ok(()) => speaker.error(None, Code::InvalidMessage, "binary frames have no meaning here", None),
                    Err(wait) => speaker.limited(None, false, wait, now),
                }
            }
            _ => {
                let now = self.door.clock.now();
                if let Err(wait) = speaker.admit(0, now) {
                    speaker.limited(None, false, wait, now);
                }
            }
        }
        Ok(())
    }

    fn write(&mut self, batch: Batch) -> Done<'_> {
        let Batch { frames, close, prompt } = batch;
        if let Some(prompt) = prompt {
            self.prompt.get_or_insert_default().merge(*prompt);
            if frames.is_empty() && close.is_none() {
                return done(Ok(()));
            }
        }
        if close == Some(Close::SlowConsumer) {
            return done(Err(End::Close(Close::SlowConsumer)));
        }
        self.count(&frames);
        self.feed(frames.into_iter().map(|(frame, _)| Message::Text(frame)), close)
    }

    /// Those of one type, which as a rule come together, at once.
    fn count(&self, frames: &VecDeque<(Frame, bool)>) {
        let mut kinds = frames.iter().map(|(frame, _)| Sent::of(frame)).peekable();
        while let Some(kind) = kinds.next() {
            let mut more = 1;
            while kinds.next_if_eq(&kind).is_some() {
                more += 1;
            }
            self.door.metrics.sent.add(kind, more);
        }
        self.door.metrics.writes.inc();
    }

    /// Goes on writing until `work` is done. Neither waits for the other: `work` may be holding a room's turn, which a slow reader must
    /// not keep from everybody; and it is never left half done, whatever becomes of the socket.
    async fn write_while<T>(&mut self, mut work: impl Future<Output = T> + Unpin) -> Result<T, End> {
        loop {
            let batch = tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                batch = self.outbox.take() => batch,
            };
            let mut write = self.write(batch);
            let written = tokio::select! {
                biased;
                written = &mut write => written,
                done = &mut work => return write.await.map(|()| done),
            };
            if let Err(end) = written {
                work.await;
                return Err(end);
            }
        }
    }

    /// One write for all of them, and the end if there is to be one after it. As a rule the kernel takes it at once.
    fn feed<'a, I>(&'a mut self, messages: I, close: Option<Close>) -> Done<'a>
    where
        I: IntoIterator<Item = Message, IntoIter: Send + 'a>,
    {
        let Self { socket, outbox, door, .. } = self;
        let mut messages = messages.into_iter();
        let end = close.map_or(Ok(()), |close| Err(End::Close(close)));
        match put(socket, &mut messages).now_or_never() {
            Some(written) => done(written.map_err(|_| End::Gone).and(end)),
            None => Either::Right(Box::pin(async move {
                patiently(put(socket, &mut messages), outbox, door.ping_timeout).await.and(end)
            })),
        }
    }
}

/// Writes all of them. Takes no message before there is room for it: dropped halfway it can be begun again, and nothing is lost.
async fn put<S: Sink<Message> + Unpin>(
    socket: &mut S,
    messages: &mut impl Iterator<Item = Message>,
) -> Result<(), S::Error> {
    loop {
        poll_fn(|context| socket.poll_ready_unpin(context)).await?;
        match messages.next() {
            Some(message) => socket.start_send_unpin(message)?,
            None => return socket.flush().await,
        }
    }
}

/// Waits for a slow reader, but not for ever, not past its budget, and not when the node goes.
async fn patiently(
    write: impl Future<Output = Result<(), tungstenite::Error>>,
    outbox: &Outbox,
    stall: Duration,
) -> Result<(), End> {
    tokio::select! {
        biased;
        written = timeout(stall, write) => match written {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Gone),
            Err(_) => Err(End::Close(Close::SlowConsumer)),
        },
        close = outbox.given_up() => Err(End::Close(close)),
    }
}

/// What a peer breaks ends its socket with the code that RFC 6455 has for it. When it is gone there is nobody to tell.
fn broken(error: &tungstenite::Error) -> End {
    let close = match error {
        tungstenite::Error::Capacity(_) => Close::TooLarge,
        tungstenite::Error::Utf8(_) => Close::NotUtf8,
        tungstenite::Error::Protocol(
            ProtocolError::ResetWithoutClosingHandshake
            | ProtocolError::ReceivedAfterClosing
            | ProtocolError::SendAfterClosing,
        ) => return End::Gone,
        tungstenite::Error::Protocol(_) => Close::Protocol,
        _ => return End::Gone,
    };
    tracing::info!(fault = %error, "the client broke RFC 6455");
    End::Broken(close)
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        pin::Pin,
        task::{Context, Poll},
    };

    use super::*;

    /// Has room for so many more.
    struct Narrow {
        room: usize,
        came: Vec<Message>,
    }

    impl Sink<Message> for Narrow {
        type Error = Infallible;

        fn poll_ready(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            if self.room > 0 { Poll::Ready(Ok(())) } else { Poll::Pending }
        }

        fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), Infallible> {
            self.room -= 1;
            self.came.push(message);
            Ok(())
        }

        fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            self.poll_ready(context)
        }

        fn poll_close(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            self.poll_ready(context)
        }
    }

    #[test]
    fn what_has_to_wait_is_not_lost() {
        let messages: Vec<_> = ["one", "two", "three"].map(Message::text).into();
        let mut socket = Narrow { room: 0, came: Vec::new() };
        let mut left = messages.clone().into_iter();
        for _ in 0..messages.len() {
            assert!(put(&mut socket, &mut left).now_or_never().is_none());
            socket.room += 1;
        }
        assert!(put(&mut socket, &mut left).now_or_never().is_none(), "the last is not flushed yet");
        socket.room += 1;
        assert!(put(&mut socket, &mut left).now_or_never().is_some());
        assert_eq!(socket.came, messages);
    }
}
