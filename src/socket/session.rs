use std::{future::Future, sync::Arc, time::Duration};

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite;

use super::{
    heartbeat::{Beat, Heartbeat},
    registry::Open,
    speaker::Speaker,
};
use crate::{
    hub::{Batch, Outbox},
    protocol::{Close, Code},
};

/// Frames of a peer that are still read once it has been told to go, until its own close comes.
const LAST_FRAMES: usize = 1_000;
/// How long the last words to a peer may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// The life of a socket: reads, answers, writes, until one side ends it. Not an `async fn`: those keep their arguments twice.
#[allow(clippy::manual_async_fn, reason = "see above")]
pub(super) fn run(mut socket: WebSocket, mut speaker: Speaker, open: Open) -> impl Future<Output = ()> {
    async move {
        let mut heart =
            Heartbeat::new(Instant::now(), speaker.door.ping_interval, speaker.door.ping_timeout, rand::random());
        let mut wire = Wire { socket: &mut socket, outbox: &open.outbox, stall: speaker.door.ping_timeout };
        let end = wire.converse(&mut speaker, &mut heart).await;
        // What is needed once is on the heap: idle sockets, which are most, stay small.
        Box::pin(part(socket, speaker, end)).await;
        drop(open);
    }
}

/// The seat is given back at once: a peer that is slow to close must not look present.
async fn part(mut socket: WebSocket, speaker: Speaker, end: End) {
    let close = match end {
        End::Close(close) => close,
        End::Closed => {
            // The peer's close frame has its answer waiting.
            let _ = tokio::join!(timeout(FAREWELL, socket.flush()), speaker.depart());
            return;
        }
        End::Gone => return speaker.depart().await,
    };
    speaker.door.metrics.closed(close);
    let frame = CloseFrame { code: close.code(), reason: close.reason().into() };
    let farewell = async {
        if socket.send(Message::Close(Some(frame))).await.is_ok() {
            // What it sent before it knew; not more than it could have.
            for _ in 0..LAST_FRAMES {
                if !matches!(socket.recv().await, Some(Ok(_))) {
                    break;
                }
            }
        }
    };
    let (_, ()) = tokio::join!(timeout(FAREWELL, farewell), speaker.depart());
}

/// Why a conversation is over.
enum End {
    /// The peer is gone.
    Gone,
    /// The peer said goodbye.
    Closed,
    /// This side ends it.
    Close(Close),
}

struct Wire<'a> {
    socket: &'a mut WebSocket,
    outbox: &'a Outbox,
    /// How long a write may take in all.
    stall: Duration,
}

impl Wire<'_> {
    async fn converse(&mut self, speaker: &mut Speaker, heart: &mut Heartbeat) -> End {
        let door = Arc::clone(&speaker.door);
        let timer = sleep_until(heart.next());
        tokio::pin!(timer);
        loop {
            // In no fixed order: neither a room that never rests nor a sender that never rests keeps the rest waiting.
            tokio::select! {
                batch = self.outbox.take() => {
                    door.metrics.frames_sent.inc_by(batch.frames.len() as u64);
                    door.metrics.batches_sent.inc();
                    if let Err(end) = self.write(batch).await {
                        return end;
                    }
                }
                () = &mut timer => {
                    match heart.fire(Instant::now()) {
                        Beat::Wait => {}
                        Beat::Ping => {
                            if let Err(end) = self.feed([Message::Ping(bytes::Bytes::new())]).await {
                                return end;
                            }
                        }
                        Beat::Lost => return End::Close(Close::HeartbeatLost),
                    }
                    timer.as_mut().reset(heart.next());
                }
                frame = self.socket.next() => {
                    heart.heard(Instant::now());
                    let text = match frame {
                        Some(Ok(Message::Text(text))) => text,
                        Some(Ok(Message::Ping(_) | Message::Pong(_))) => {
                            speaker.admit(0, door.clock.now());
                            continue;
                        }
                        Some(Ok(Message::Binary(_))) => {
                            door.metrics.frames_received.inc();
                            if speaker.admit(0, door.clock.now()) {
                                speaker.error(None, Code::InvalidMessage, "binary frames have no meaning here", None);
                            }
                            continue;
                        }
                        Some(Ok(Message::Close(_))) => return End::Closed,
                        None => return End::Gone,
                        Some(Err(error)) => return broken(error),
                    };
                    door.metrics.frames_received.inc();
                    if let Err(end) = self.answer(speaker, &text).await {
                        return end;
                    }
                }
            }
        }
    }

    /// Hands a frame over; while that takes time, goes on writing.
    async fn answer(&mut self, speaker: &mut Speaker, text: &str) -> Result<(), End> {
        let received = speaker.door.clock.now();
        if !speaker.admit(text.len(), received) {
            return Ok(());
        }
        let mut work = Box::pin(speaker.hear(text, received));
        let pong = match (&mut work).now_or_never() {
            Some(pong) => pong,
            None => Box::pin(self.write_while(work)).await?,
        };
        match pong {
            Some(pong) => self.feed([Message::Text(pong)]).await,
            None => Ok(()),
        }
    }

    async fn write(&mut self, batch: Batch) -> Result<(), End> {
        let Batch { frames, close } = batch;
        if close == Some(Close::SlowConsumer) {
            return Err(End::Close(Close::SlowConsumer));
        }
        self.feed(frames.into_iter().map(|(frame, _)| Message::Text(frame))).await?;
        match close {
            Some(close) => Err(End::Close(close)),
            None => Ok(()),
        }
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
            let write = self.write(batch);
            tokio::pin!(write);
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

    /// One write for all of them. As a rule the kernel takes it at once.
    async fn feed(&mut self, messages: impl IntoIterator<Item = Message>) -> Result<(), End> {
        let Self { socket, outbox, stall } = self;
        let write = async {
            for message in messages {
                socket.feed(message).await?;
            }
            socket.flush().await
        };
        tokio::pin!(write);
        match write.as_mut().now_or_never() {
            Some(written) => written.map_err(|_| End::Gone),
            None => Box::pin(patiently(write, outbox, *stall)).await,
        }
    }
}

/// Waits for a slow reader, but not for ever, not past its budget, and not when the node goes.
async fn patiently(
    write: impl Future<Output = Result<(), axum::Error>>,
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

/// A frame that is too large to read ends the socket with a word; what else breaks a socket leaves nobody to talk to.
fn broken(error: axum::Error) -> End {
    match error.into_inner().downcast_ref() {
        Some(tungstenite::Error::Capacity(_)) => Code::TooLarge.close().map_or(End::Gone, End::Close),
        _ => End::Gone,
    }
}
