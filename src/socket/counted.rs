use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::protocol::MAX_TRANSPORT_BYTES;

/// The bytes of a message, with the headers of its parts. Empty parts have nothing but headers, so the limit of messages does not bound them.
const MOST: usize = MAX_TRANSPORT_BYTES + 64 * 1024;

/// A stream that counts the bytes of the message that is being read. Its parts cost memory and time before there is a message.
#[derive(Debug)]
pub struct Counted<S> {
    stream: S,
    read: u32,
}

impl<S> Counted<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, read: 0 }
    }

    /// The bytes since the last message.
    pub(super) fn read(&self) -> u32 {
        self.read
    }

    /// So many of the bytes were those of a message, or of a control frame within one.
    pub(super) fn forget(&mut self, bytes: u32) {
        self.read = self.read.saturating_sub(bytes);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.read as usize > MOST {
            let why = "a message has more bytes than any message needs";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::FileTooLarge, why)));
        }
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buf);
        let more = buf.filled().len().saturating_sub(before);
        self.read = self.read.saturating_add(u32::try_from(more).unwrap_or(u32::MAX));
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
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
