//! The write path: from the outbox of a socket to its transport.

use std::{
    collections::VecDeque,
    future::{Future, Ready, poll_fn, ready},
    time::Duration,
};

use futures_util::{
    FutureExt as _, Sink, SinkExt as _,
    future::{BoxFuture, Either},
};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{self, Message};

use super::{connection::Connection, end::End, transport::Transport};
use crate::{
    hub::{Batch, Outbox},
    protocol::{Close, Frame},
};

/// What is done at once, or, on the heap, what has to be waited for. Most sockets are idle, and an idle socket stays small this way.
pub(super) type Done<'a> = Either<Ready<Result<(), End>>, BoxFuture<'a, Result<(), End>>>;

pub(super) fn done<'a>(how: Result<(), End>) -> Done<'a> {
    Either::Left(ready(how))
}

impl<T: Transport> Connection<'_, T> {
    pub(super) fn pong(&mut self, pong: Option<Frame>) -> Done<'_> {
        let Some(pong) = pong else { return done(Ok(())) };
        self.gateway.metrics.sent.inc(pong.kind());
        self.gateway.metrics.writes.inc();
        self.feed([pong.into()], None)
    }

    /// Writes what waits in the outbox.
    pub(super) fn write_waiting(&mut self) -> Done<'_> {
        self.outbox.try_take().map_or_else(|| done(Ok(())), |batch| self.write(batch))
    }

    pub(super) fn write(&mut self, batch: Batch) -> Done<'_> {
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
        self.feed(frames.into_iter().map(Message::from), close)
    }

    /// Counts frames by type. Frames of one type mostly come together, and are counted at once.
    fn count(&self, frames: &VecDeque<Frame>) {
        let mut kinds = frames.iter().map(Frame::kind).peekable();
        while let Some(kind) = kinds.next() {
            let mut more = 1;
            while kinds.next_if_eq(&kind).is_some() {
                more += 1;
            }
            self.gateway.metrics.sent.add(kind, more);
        }
        self.gateway.metrics.writes.inc();
    }

    /// Goes on writing until `work` is done. Neither waits for the other: `work` may be holding a room's turn, which a slow reader must
    /// not keep from everybody; and it is never left half done, whatever becomes of the socket.
    pub(super) async fn write_while<R>(&mut self, mut work: impl Future<Output = R> + Unpin) -> Result<R, End> {
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

    /// Writes messages with one write, and ends the connection after them if `close` says so. The kernel mostly takes a write at once.
    pub(super) fn feed<'a, I>(&'a mut self, messages: I, close: Option<Close>) -> Done<'a>
    where
        I: IntoIterator<Item = Message, IntoIter: Send + 'a>,
    {
        let Self { socket, outbox, gateway, .. } = self;
        let mut messages = messages.into_iter();
        let end = close.map_or(Ok(()), |close| Err(End::Close(close)));
        match put(socket, &mut messages).now_or_never() {
            Some(written) => done(written.map_err(|_| End::Gone).and(end)),
            None => Either::Right(Box::pin(async move {
                patiently(put(socket, &mut messages), outbox, gateway.ping_timeout).await.and(end)
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

/// Waits for a slow reader: until `stall` is over, its outbox is full, or the node is stopped.
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
