use std::{
    fmt, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that a stream of HTTP/2 is handed at once: as many as a frame has. hyper holds up to four such pieces for a client that takes none.
const PIECE: usize = 16 * 1024;

/// Knows which streams of an HTTP/2 connection are sockets.
pub trait Carrier: fmt::Debug + Send + Sync {
    /// The stream is a socket from now on.
    fn begin(&self);

    /// The socket is over.
    fn end(&self);
}

/// The stream of HTTP/2 that a request came on.
#[derive(Debug, Clone)]
pub struct Lane(Arc<dyn Carrier>);

impl Lane {
    /// A stream of this carrier.
    pub fn new(carrier: Arc<dyn Carrier>) -> Self {
        Self(carrier)
    }

    pub(super) fn ride(self) -> Ride {
        self.0.begin();
        Ride(self.0)
    }
}

/// A stream that is a socket, until this is dropped.
#[derive(Debug)]
pub(super) struct Ride(Arc<dyn Carrier>);

impl Drop for Ride {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// What a socket reads from and writes to.
#[derive(Debug)]
pub(super) enum Wire<S = TokioIo<Upgraded>> {
    /// A connection of its own, that was one of HTTP/1.1.
    Own(S),
    /// A stream of an HTTP/2 connection. On the heap, so that the others stay as small as they are.
    Shared(Box<(S, Ride)>),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(super) fn new(io: S, ride: Option<Ride>) -> Self {
        match ride {
            None => Self::Own(io),
            Some(ride) => Self::Shared(Box::new((io, ride))),
        }
    }

    fn io(&mut self) -> Pin<&mut S> {
        Pin::new(match self {
            Self::Own(io) => io,
            Self::Shared(shared) => &mut shared.0,
        })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Wire<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.io().poll_read(context, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let most = if matches!(*self, Self::Own(_)) { usize::MAX } else { PIECE };
        self.io().poll_write(context, buf.get(..most).unwrap_or(buf))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io().poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::io::{AsyncWriteExt as _, duplex};

    use super::*;

    #[derive(Debug, Default)]
    struct Riders(AtomicU32);

    impl Carrier for Riders {
        fn begin(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }

        fn end(&self) {
            self.0.fetch_sub(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_socket_of_its_own_pays_nothing_for_the_others() {
        assert_eq!(size_of::<Wire>(), size_of::<TokioIo<Upgraded>>());
    }

    #[tokio::test]
    async fn a_stream_takes_a_piece_at_a_time_and_says_when_it_is_over() {
        let bytes = vec![0; 3 * PIECE];
        let ((near, _far), (other, _end)) = (duplex(bytes.len()), duplex(bytes.len()));
        let mut own = Wire::new(near, None);
        assert_eq!(own.write(&bytes).await.unwrap(), bytes.len());
        let riders = Arc::new(Riders::default());
        let lane = Lane::new(Arc::clone(&riders) as Arc<dyn Carrier>);
        // Nobody rides until a socket is opened.
        assert_eq!(riders.0.load(Ordering::Relaxed), 0);
        let mut shared = Wire::new(other, Some(lane.ride()));
        assert_eq!(riders.0.load(Ordering::Relaxed), 1);
        assert_eq!(shared.write(&bytes).await.unwrap(), PIECE);
        drop(shared);
        assert_eq!(riders.0.load(Ordering::Relaxed), 0);
    }
}
