use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use bytes::{Buf as _, Bytes};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf, copy, sink},
    net::TcpStream,
    runtime::Handle,
    time::timeout,
};
use tokio_util::task::TaskTracker;

use super::pulse::Pulse;

/// Number of bytes that one read asks the kernel for.
const SCOOP: usize = 4 * 1024;
/// How long a connection keeps reading from a peer that was still sending when it was dropped.
const LINGER: Duration = Duration::from_secs(2);
/// How many bytes it reads from such a peer at most.
const LEAVINGS: u64 = 1024 * 1024;

/// A connection that reads ahead: it takes what the kernel has, however little the caller asks for, and keeps the rest for as long as there
/// is any. So the buffer above it, which every idle socket has, can be small without a system call each time that it is filled.
///
/// When it is dropped while the peer still sends, a task of `tasks` reads and discards the rest for a moment. Otherwise the kernel would send
/// a reset, which overtakes the last bytes to the peer, such as the close frame that says why.
#[derive(Debug)]
pub(super) struct ReadAhead<S: Stream = TcpStream> {
    /// `Some` until this is dropped.
    stream: Option<S>,
    rest: Bytes,
    tasks: TaskTracker,
    /// `Some` for as long as this is an HTTP connection.
    pulse: Option<Arc<Pulse>>,
}

/// The parts that a connection is made of.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for S {}

impl<S: Stream> ReadAhead<S> {
    /// `rest` was read from the stream before.
    pub(super) fn new(stream: S, rest: Bytes, tasks: TaskTracker, pulse: Option<Arc<Pulse>>) -> Self {
        Self { stream: Some(stream), rest, tasks, pulse }
    }

    /// Tells the pulse, and drops it when it has ended.
    fn note(&mut self, what: impl FnOnce(&Pulse)) {
        if self.pulse.take_if(|pulse| pulse.is_over()).is_none()
            && let Some(pulse) = &self.pulse
        {
            what(pulse);
        }
    }

    fn note_write(&mut self, written: &Poll<io::Result<usize>>) {
        self.note(|pulse| pulse.wrote(written.is_ready()));
    }

    fn stream(&mut self) -> io::Result<Pin<&mut S>> {
        self.stream.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

/// Whether unread bytes have arrived.
fn is_speaking(stream: &mut impl Stream) -> bool {
    let mut byte = [0];
    let mut buf = ReadBuf::new(&mut byte);
    let read = Pin::new(stream).poll_read(&mut Context::from_waker(Waker::noop()), &mut buf);
    matches!(read, Poll::Ready(Ok(()))) && !buf.filled().is_empty()
}

async fn linger(mut stream: impl Stream) {
    let listen = async {
        // This side sends nothing more.
        stream.shutdown().await?;
        copy(&mut stream.take(LEAVINGS), &mut sink()).await
    };
    let _ = timeout(LINGER, listen).await;
}

impl<S: Stream> Drop for ReadAhead<S> {
    fn drop(&mut self) {
        if let (Some(mut stream), Ok(runtime)) = (self.stream.take(), Handle::try_current())
            && is_speaking(&mut stream)
        {
            self.tasks.spawn_on(linger(stream), &runtime);
        }
    }
}

impl<S: Stream> AsyncRead for ReadAhead<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.rest.is_empty() {
            if buf.remaining() >= SCOOP {
                let before = buf.filled().len();
                ready!(this.stream()?.poll_read(context, buf))?;
                if buf.filled().len() > before {
                    this.note(Pulse::heard);
                }
                return Poll::Ready(Ok(()));
            }
            let mut space = [const { MaybeUninit::uninit() }; SCOOP];
            let mut read_ahead = ReadBuf::uninit(&mut space);
            ready!(this.stream()?.poll_read(context, &mut read_ahead))?;
            if !read_ahead.filled().is_empty() {
                this.note(Pulse::heard);
            }
            let (asked, rest) = read_ahead.filled().split_at(buf.remaining().min(read_ahead.filled().len()));
            buf.put_slice(asked);
            this.rest = Bytes::copy_from_slice(rest);
        } else {
            let asked = this.rest.len().min(buf.remaining());
            buf.put_slice(&this.rest.split_to(asked));
            if !this.rest.has_remaining() {
                // Frees the memory.
                this.rest = Bytes::new();
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: Stream> AsyncWrite for ReadAhead<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = self.stream()?.poll_write(context, buf);
        self.note_write(&written);
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = self.stream()?.poll_write_vectored(context, parts);
        self.note_write(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(S::is_write_vectored)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn gives_all_bytes_in_order_whatever_is_asked_for() {
        let sent: Vec<u8> = (0_u8..=255).cycle().take(3 * SCOOP + 17).collect();
        for asked in [1, 7, 300, SCOOP - 1, SCOOP, 2 * SCOOP] {
            let (mut peer, stream) = tokio::io::duplex(2 * SCOOP);
            let mut read_ahead = ReadAhead::new(stream, Bytes::new(), TaskTracker::new(), None);
            let all = sent.clone();
            let writer = tokio::spawn(async move { peer.write_all(&all).await });
            let mut came = Vec::new();
            let mut buf = vec![0; asked];
            loop {
                let size = read_ahead.read(&mut buf).await.unwrap();
                if size == 0 {
                    break;
                }
                came.extend_from_slice(&buf[..size]);
            }
            writer.await.unwrap().unwrap();
            assert!(came == sent, "asked for {asked} at a time");
        }
    }

    #[tokio::test]
    async fn keeps_what_was_not_asked_for_and_nothing_once_it_was() {
        let (mut peer, stream) = tokio::io::duplex(SCOOP);
        peer.write_all(b"one and two").await.unwrap();
        let mut read_ahead = ReadAhead::new(stream, Bytes::new(), TaskTracker::new(), None);
        let mut buf = [0; 3];
        read_ahead.read_exact(&mut buf).await.unwrap();
        assert_eq!((&buf, &*read_ahead.rest), (b"one", &b" and two"[..]));
        read_ahead.read_exact(&mut [0; 8]).await.unwrap();
        assert!(read_ahead.rest.is_empty());
    }

    #[tokio::test]
    async fn a_peer_that_still_speaks_is_heard_out() {
        let (mut peer, stream) = tokio::io::duplex(SCOOP);
        let tasks = TaskTracker::new();
        let read_ahead = ReadAhead::new(stream, Bytes::new(), tasks.clone(), None);
        peer.write_all(b"a").await.unwrap();
        drop(read_ahead);
        // There is more than the buffer holds, so bytes must be taken out meanwhile.
        peer.write_all(&vec![7; 10 * SCOOP]).await.unwrap();
        assert_eq!(peer.read(&mut [0]).await.unwrap(), 0, "the last word was said");
        drop(peer);
        tasks.close();
        tasks.wait().await;
    }

    #[tokio::test]
    async fn a_peer_that_is_silent_is_left_at_once() {
        let (_peer, stream) = tokio::io::duplex(SCOOP);
        let tasks = TaskTracker::new();
        drop(ReadAhead::new(stream, Bytes::new(), tasks.clone(), None));
        assert!(tasks.is_empty());
    }
}
