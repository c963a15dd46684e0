use std::future::Future;

use futures_util::{Sink, Stream};
use tokio_tungstenite::tungstenite::{Error, Message};

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
