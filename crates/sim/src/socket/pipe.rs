use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::{Sink, Stream};
use tandem::socket::Transport;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::line::{Receiver, Sender};

/// The node's end of a socket: both directions, in place of a WebSocket over TCP.
pub(super) struct Pipe {
    pub(super) inward: Receiver<Message>,
    pub(super) outward: Sender<Message>,
}

impl Stream for Pipe {
    type Item = Result<Message, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.inward.poll(context).map(|message| message.map(Ok))
    }
}

impl Sink<Message> for Pipe {
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        self.outward.put(message);
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }
}

impl Transport for Pipe {
    async fn discard(&mut self) {}

    fn unfinished(&self) -> u32 {
        0
    }

    fn forget(&mut self, _: u32) {}
}
