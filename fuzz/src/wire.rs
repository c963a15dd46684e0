//! A client of the session target: what stands between it and the node, and what it checks.

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use futures_util::{Sink, Stream};
use serde_json::Value;
use tandem::{id::ConnId, protocol::Frame, socket::Admitted, socket::Transport, telemetry::Subject};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::{json, stage::Stage};

/// The node's end of a socket. It answers pings itself.
struct Pipe {
    inward: mpsc::UnboundedReceiver<Message>,
    pongs: mpsc::UnboundedSender<Message>,
    heard: Arc<Mutex<Heard>>,
}

/// What a client keeps of what it was told.
#[derive(Default)]
struct Heard {
    token: String,
    epoch: u64,
    version: u64,
}

/// A client with an open socket.
pub struct Client {
    outward: mpsc::UnboundedSender<Message>,
    heard: Arc<Mutex<Heard>>,
}

impl Client {
    /// Opens a socket; `number` tells it from the others that were open.
    pub fn open(stage: &Stage, number: u64) -> Option<Self> {
        let conn = ConnId(uuid::Uuid::from_u64_pair(1, number));
        let address = [10, 0, 0, u8::try_from(number % 4).unwrap_or_default()].into();
        let admitted = Admitted::new(&stage.gateway, Some(address), (conn, Subject::socket(conn, None))).ok()?;
        let (outward, inward) = mpsc::unbounded_channel();
        let heard = Arc::<Mutex<Heard>>::default();
        tokio::spawn(admitted.serve(Pipe { inward, pongs: outward.clone(), heard: Arc::clone(&heard) }));
        Some(Self { outward, heard })
    }

    /// Sends a text in which `$T`, `$E` and `$V` stand for the last resume token, epoch and version; or bytes that are no text. False if the
    /// node has ended the socket.
    pub fn send(&self, line: &[u8]) -> bool {
        let heard = self.heard.lock().unwrap();
        let message = match std::str::from_utf8(line) {
            Ok(text) if text.contains('$') => {
                let text = text.replace("$T", &heard.token).replace("$E", &heard.epoch.to_string());
                Message::text(text.replace("$V", &heard.version.to_string()))
            }
            Ok(text) => Message::text(text),
            Err(_) => Message::binary(line.to_vec()),
        };
        self.outward.send(message).is_ok()
    }

    /// Another client with this one's memory.
    pub fn remember(&self, other: &Self) {
        let other = other.heard.lock().unwrap();
        let mut heard = self.heard.lock().unwrap();
        *heard = Heard { token: other.token.clone(), epoch: other.epoch, version: other.version };
    }

    /// The client closes the socket.
    pub fn close(self) {
        let _ = self.outward.send(Message::Close(None));
    }
}

impl Heard {
    fn frame(&mut self, text: &str) {
        json::check(&Frame::from(text));
        let frame: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        if let Some(token) = frame["resumeToken"].as_str() {
            token.clone_into(&mut self.token);
        }
        let (Some(epoch), Some(version)) = (frame["epoch"].as_u64(), frame["version"].as_u64()) else { return };
        let starts = matches!(frame["type"].as_str(), Some("ROOM_STATE" | "RESUMED"));
        assert!(starts || epoch != self.epoch || version >= self.version, "after version {}: {text}", self.version);
        (self.epoch, self.version) = (epoch, version);
    }
}

impl Stream for Pipe {
    type Item = Result<Message, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.inward.poll_recv(context).map(|message| message.map(Ok))
    }
}

impl Sink<Message> for Pipe {
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        match message {
            Message::Text(text) => self.heard.lock().unwrap().frame(&text),
            Message::Ping(bytes) => drop(self.pongs.send(Message::Pong(bytes))),
            _ => {}
        }
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
