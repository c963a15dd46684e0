use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::tungstenite::{
    self,
    protocol::frame::{
        FrameHeader,
        coding::{Data, OpCode},
    },
};

use crate::protocol::MAX_TRANSPORT_BYTES;

/// The bytes of a message, with the headers of its parts. Empty parts have nothing but headers, so the limit of messages does not bound them.
const MOST: usize = MAX_TRANSPORT_BYTES + 64 * 1024;

/// What a WebSocket stands on: the stream below the library that knows the protocol.
///
/// It counts the bytes of the message that is being read: its parts cost memory and time before there is a message. And it takes the texts
/// that are written, whose memory the library would keep for as long as there is a socket.
#[derive(Debug)]
pub(super) struct Base<S> {
    stream: S,
    /// Frames that are to be written before anything else.
    waiting: Vec<u8>,
    read: u32,
    /// Whether a close frame came or went: after that the library refuses what is written.
    pub(super) closes: bool,
}

impl<S> Base<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, waiting: Vec::new(), read: 0, closes: false }
    }

    /// The bytes since the last message.
    pub(super) fn read(&self) -> u32 {
        self.read
    }

    /// So many of the bytes were those of a message, or of a control frame within one.
    pub(super) fn forget(&mut self, bytes: u32) {
        self.read = self.read.saturating_sub(bytes);
    }

    /// The bytes of the texts that wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The memory that waiting texts have.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.waiting.capacity()
    }

    /// Takes a text, which is written by the next flush.
    pub(super) fn push(&mut self, text: &str) -> Result<(), tungstenite::Error> {
        let header = FrameHeader { opcode: OpCode::Data(Data::Text), ..FrameHeader::default() };
        let length = text.len() as u64;
        self.waiting.reserve(header.len(length) + text.len());
        header.format(length, &mut self.waiting)?;
        self.waiting.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

impl<S: AsyncWrite + Unpin> Base<S> {
    /// Writes the texts that wait, and frees their memory.
    pub(super) fn poll_write_waiting(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.waiting.is_empty() {
            match ready!(Pin::new(&mut self.stream).poll_write(context, &self.waiting))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                all if all == self.waiting.len() => self.waiting = Vec::new(),
                some => drop(self.waiting.drain(..some)),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Base<S> {
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

/// What the library writes, or ends, comes after the texts that wait.
impl<S: AsyncWrite + Unpin> AsyncWrite for Base<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_write_waiting(context))?;
        Pin::new(&mut self.stream).poll_write(context, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_write_waiting(context))?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_write_waiting(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
