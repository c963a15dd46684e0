use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_util::{Sink, SinkExt as _, Stream, StreamExt as _};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy, sink};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message,
        protocol::{Role, WebSocketConfig},
    },
};

use super::{base::Base, transport::Transport};

/// Bytes of frames that wait to be written together before the kernel is asked.
pub(super) const WRITE_BUFFER: usize = 8 * 1024;
/// How many bytes of a peer that cannot be understood are discarded at most.
const DISCARDED_BYTES: u64 = 1024 * 1024;

/// The server's side of a WebSocket, which takes no memory for writing while nothing is written: texts pass by the buffer of the library,
/// which keeps the size of the largest one so far.
#[derive(Debug)]
pub(super) struct WebSocket<S>(WebSocketStream<Base<S>>);

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    pub(super) async fn new(stream: S, config: WebSocketConfig) -> Self {
        Self(WebSocketStream::from_raw_socket(Base::new(stream), Role::Server, Some(config)).await)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for WebSocket<S> {
    type Item = Result<Message, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let message = ready!(self.0.poll_next_unpin(context));
        if matches!(message, Some(Ok(Message::Close(_)))) {
            self.0.get_mut().closes = true;
        }
        Poll::Ready(message)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Sink<Message> for WebSocket<S> {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let base = self.0.get_mut();
        if base.waiting() > WRITE_BUFFER {
            ready!(base.poll_write_waiting(context))?;
        }
        self.0.poll_ready_unpin(context)
    }

    fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        let base = self.0.get_mut();
        match message {
            Message::Text(text) if !base.closes => base.push(&text),
            message => {
                base.closes |= message.is_close();
                self.0.start_send_unpin(message)
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.0.poll_flush_unpin(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.0.get_mut().closes = true;
        self.0.poll_close_unpin(context)
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Transport for WebSocket<S> {
    fn unfinished(&self) -> u32 {
        self.0.get_ref().read()
    }

    fn forget(&mut self, bytes: u32) {
        self.0.get_mut().forget(bytes);
    }

    async fn discard(&mut self) {
        let stream = self.0.get_mut();
        if stream.shutdown().await.is_ok() {
            let _ = copy(&mut stream.take(DISCARDED_BYTES), &mut sink()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt as _;
    use tokio::{
        io::{DuplexStream, duplex},
        time::timeout,
    };

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(10);

    /// A socket to a peer that has room for so many bytes, and the peer.
    async fn pair(room: usize) -> (WebSocket<DuplexStream>, WebSocketStream<DuplexStream>) {
        let (near, far) = duplex(room);
        let config = WebSocketConfig::default().read_buffer_size(256);
        let peer = WebSocketStream::from_raw_socket(far, Role::Client, None);
        tokio::join!(WebSocket::new(near, config), peer)
    }

    #[tokio::test]
    async fn nothing_is_kept_of_what_was_written() {
        let (mut socket, mut peer) = pair(1024 * 1024).await;
        for length in [0, 125, 126, 65_535, 65_536] {
            let text = "x".repeat(length);
            socket.send(Message::text(&text)).await.unwrap();
            assert_eq!(peer.next().await.unwrap().unwrap(), Message::text(text));
            assert_eq!(socket.0.get_ref().capacity(), 0);
        }
    }

    #[tokio::test]
    async fn little_waits_for_a_peer_that_takes_nothing() {
        let (mut socket, _peer) = pair(64).await;
        let text = Message::text("x".repeat(1_000));
        let mut fed = 0;
        while fed < 100 && socket.feed(text.clone()).now_or_never().is_some() {
            fed += 1;
        }
        assert!((8..12).contains(&fed), "{fed} KB");
        assert!(socket.0.get_ref().waiting() <= WRITE_BUFFER + 1_100);
    }

    #[tokio::test]
    async fn nothing_follows_the_answer_to_a_close_frame() {
        let (mut socket, mut peer) = pair(1_024).await;
        peer.send(Message::Close(None)).await.unwrap();
        assert!(matches!(socket.next().await, Some(Ok(Message::Close(None)))));
        let late = timeout(DEADLINE, socket.send(Message::text("late"))).await;
        assert!(matches!(late, Ok(Err(_))), "a text after the answer is refused at once: {late:?}");
        // Its answer is written; that this was the last word is no error here.
        let _ = timeout(DEADLINE, socket.flush()).await.expect("the answer is written");
        let first = timeout(DEADLINE, peer.next()).await.expect("the answer comes");
        assert!(matches!(first, Some(Ok(Message::Close(None)))), "and no text before it: {first:?}");
    }

    #[tokio::test]
    async fn a_slow_peer_gets_everything_in_order_whatever_the_library_writes_between() {
        let (mut socket, mut peer) = pair(64).await;
        let texts = ["one", "two", "three"].map(|text| text.repeat(50));
        let text = |number: usize| Message::text(&texts[number]);
        for number in 0..2 {
            socket.feed(text(number)).await.unwrap();
        }
        assert!(socket.flush().now_or_never().is_none(), "there is no room for it");
        // Its answer has to wait for the rest of the text that is on its way.
        peer.send(Message::Ping("still there?".into())).await.unwrap();
        assert!(matches!(socket.next().await, Some(Ok(Message::Ping(_)))));
        assert!(socket.next().now_or_never().is_none());
        socket.feed(text(2)).await.unwrap();
        let writing = async {
            socket.send(Message::Close(None)).await.unwrap();
            assert!(socket.send(text(0)).await.is_err(), "nothing follows a close frame");
        };
        let reading = async {
            let mut came = Vec::new();
            while !came.last().is_some_and(Message::is_close) {
                came.push(peer.next().await.unwrap().unwrap());
            }
            came
        };
        let ((), came) = tokio::join!(writing, reading);
        let heard = came.iter().filter(|message| !message.is_pong()).cloned().collect::<Vec<_>>();
        assert_eq!(heard, [text(0), text(1), text(2), Message::Close(None)]);
        assert_eq!(came.len(), heard.len() + 1, "and the answer to the ping");
    }
}
