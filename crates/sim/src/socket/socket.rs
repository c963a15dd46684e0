use std::{net::IpAddr, sync::Arc, time::Duration};

use serde_json::Value;
use tandem::{id::ConnId, socket::Admitted, telemetry::Subject};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use super::{
    line::{Receiver, Sender, line},
    pipe::Pipe,
};
use crate::{chance::Dice, node::Node};

/// What a client receives.
#[derive(Debug)]
pub enum Inward {
    Frame(String),
    Closed(Option<u16>),
}

/// The client's end of a socket.
pub struct Socket {
    outward: Sender<Message>,
    inward: Receiver<Message>,
}

impl Socket {
    /// Opens a socket at `node` from this address, if the node admits it.
    pub fn open(node: &Arc<Node>, address: IpAddr, mut dice: Dice) -> Option<Self> {
        let conn = ConnId(uuid::Uuid::from_u64_pair(dice.next(), dice.next()));
        let admitted = Admitted::new(&node.gateway, Some(address), (conn, Subject::socket(conn, None))).ok()?;
        let (outward, to_node) = line(dice.branch(1));
        let (from_node, inward) = line(dice.branch(2));
        node.spawn(admitted.serve(Pipe { inward: to_node, outward: from_node }));
        Some(Self { outward, inward })
    }

    pub fn send(&mut self, text: String) {
        self.outward.put(Message::text(text));
    }

    /// Waits for what comes next. Once the socket has ended, nothing comes any more.
    pub async fn next(&mut self) -> Inward {
        loop {
            match self.inward.recv().await {
                None => return Inward::Closed(None),
                Some(Message::Text(text)) => return Inward::Frame(text.as_str().to_owned()),
                Some(Message::Close(frame)) => return Inward::Closed(frame.map(|frame| frame.code.into())),
                Some(Message::Ping(bytes)) => self.outward.put(Message::Pong(bytes)),
                Some(_) => {}
            }
        }
    }

    /// The client closes the socket.
    pub fn close(mut self) {
        self.outward.put(Message::Close(None));
    }

    /// The client vanishes. Its node finds out late, because pings are not answered.
    pub fn vanish(mut self) {
        tokio::spawn(async move { while !matches!(self.inward.recv().await, None | Some(Message::Close(_))) {} });
    }

    /// The client ignores this socket from now on, but leaves it open for so long.
    pub fn linger(mut self, time: Duration) {
        tokio::spawn(timeout(time, async move { while !matches!(self.next().await, Inward::Closed(_)) {} }));
    }
}

/// A frame as a client reads it.
pub fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}
