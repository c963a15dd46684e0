use std::future::Future;

use futures_util::{Sink, Stream};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy, sink};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Error, Message},
};

use super::counted::Counted;

/// How many bytes of a peer that cannot be understood are discarded at most.
const DISCARDED_BYTES: u64 = 1024 * 1024;

/// Carries the messages of one peer: a WebSocket over TCP, or a pair of queues where there is no network.
pub trait Transport:
    Stream<Item = Result<Message, Error>> + Sink<Message, Error = Error> + Send + Unpin + 'static
{
    /// Ends this side, and discards what a peer that broke the protocol still sends. Bytes that nobody reads would make the system
    /// answer with a reset, which may overtake the close frame.
    fn discard(&mut self) -> impl Future<Output = ()> + Send;

    /// The bytes that were read since the last message: those of a message that is not whole, as a rule none.
    fn unfinished(&self) -> u32;

    /// So many of those bytes were a message, or a control frame.
    fn forget(&mut self, bytes: u32);
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Transport for WebSocketStream<Counted<S>> {
    fn unfinished(&self) -> u32 {
        self.get_ref().read()
    }

    fn forget(&mut self, bytes: u32) {
        self.get_mut().forget(bytes);
    }

    async fn discard(&mut self) {
        let stream = self.get_mut();
        if stream.shutdown().await.is_ok() {
            let _ = copy(&mut stream.take(DISCARDED_BYTES), &mut sink()).await;
        }
    }
}
