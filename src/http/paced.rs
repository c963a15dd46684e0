use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::read_ahead::Stream;

/// Bytes that are read before it is the turn of others. h2 reads for as long as there is something, and frames can be very small.
const TURN: usize = 16 * 1024;

/// A connection that lets others have their turn, however much its peer sends.
#[derive(Debug)]
pub(super) struct Paced<S> {
    stream: S,
    taken: usize,
}

impl<S> Paced<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, taken: 0 }
    }
}

impl<S: Stream> AsyncRead for Paced<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.taken >= TURN {
            self.taken = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buf);
        self.taken += buf.filled().len().saturating_sub(before);
        if read.is_pending() {
            self.taken = 0;
        }
        read
    }
}

impl<S: Stream> AsyncWrite for Paced<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use tokio::io::{AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test]
    async fn others_have_their_turn() {
        let (mut peer, stream) = duplex(4 * TURN);
        peer.write_all(&vec![1; 3 * TURN]).await.unwrap();
        let mut paced = Paced::new(stream);
        let mut context = Context::from_waker(Waker::noop());
        let mut turns = Vec::new();
        let mut space = vec![0; TURN / 2];
        for _ in 0..3 {
            let mut taken = 0;
            loop {
                let mut buf = ReadBuf::new(&mut space);
                if Pin::new(&mut paced).poll_read(&mut context, &mut buf).is_pending() {
                    break;
                }
                taken += buf.filled().len();
            }
            turns.push(taken);
        }
        assert_eq!(turns, [TURN; 3]);
    }
}
