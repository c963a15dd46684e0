//! One WebSocket as a browser holds it, with as little as possible around it.

use std::{
    collections::VecDeque,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use clap::ValueEnum;
use futures_util::{SinkExt, StreamExt};
use serde::{Deserialize, Serialize};
use tokio::{
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{Message, Utf8Bytes, protocol::WebSocketConfig},
};

use crate::{centrifugo, scan, socketio, target::Target};

/// How long connecting, and then joining, may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Read buffer of a socket: thousands of them live in this process.
const READ_BUFFER: usize = 2048;

/// Bytes that the system takes in for a client that is to be slow.
const NARROW: u32 = 4096;

/// What a server has said.
#[derive(Debug)]
pub(crate) enum Said {
    /// A frame.
    Text(Utf8Bytes),
    /// The end, with its code.
    Close(Option<u16>),
}

/// Whom a client talks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub(crate) enum Peer {
    /// The signaling server: rooms by JOIN.
    Tandem,
    /// The bare relay: rooms by query string.
    Relay,
    /// Socket.IO: rooms by an event.
    SocketIo,
    /// Centrifugo: a room is a channel.
    Centrifugo,
}

impl Peer {
    /// The name to show.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tandem => "tandem",
            Self::Relay => "relay",
            Self::SocketIo => "socket.io",
            Self::Centrifugo => "centrifugo",
        }
    }
}

/// Who joins what.
#[derive(Debug)]
pub(crate) struct Seat<'a> {
    /// The room.
    pub(crate) room: &'a str,
    /// The user.
    pub(crate) user: &'a str,
    /// What the client asks for in its JOIN; `None` for a first-generation client.
    pub(crate) features: Option<&'a [String]>,
    /// The loopback address to connect from; `None` for the usual one.
    pub(crate) source: Option<Ipv4Addr>,
}

/// How a socket treats its system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// As any.
    Usual,
    /// The system takes in little of what is not read.
    Narrow,
    /// It ends with a reset, and its port is free at once: tens of thousands break and come again within seconds.
    Abrupt,
}

/// A connected client that is in a room.
#[derive(Debug)]
pub(crate) struct Client {
    socket: WebSocketStream<TcpStream>,
    peer: Peer,
    room: String,
    /// What a message for this client alone has to name.
    id: String,
    /// What Centrifugo calls this connection.
    session: Option<String>,
    /// What came with the frame before: Centrifugo puts several replies into one.
    waiting: VecDeque<Utf8Bytes>,
}

impl Client {
    /// Connects, joins, and waits until the server says so.
    pub(crate) async fn join(target: &Target, peer: Peer, seat: &Seat<'_>) -> Result<Self> {
        let mut client = timeout(PATIENCE, Self::connect(target, peer, seat))
            .await
            .map_err(|_| anyhow!("no connection to {target} within {PATIENCE:?}"))??;
        timeout(PATIENCE, client.enter(peer, seat))
            .await
            .map_err(|_| anyhow!("no answer to JOIN within {PATIENCE:?}"))??;
        Ok(client)
    }

    /// Connects to tandem and says nothing yet. With `narrow` the system takes in little of what this client does not read.
    pub(crate) async fn dial(target: &Target, source: Option<Ipv4Addr>, narrow: bool) -> Result<Self> {
        let way = if narrow { Way::Narrow } else { Way::Usual };
        let dialled = timeout(PATIENCE, Self::open(target, target.url(""), source, way)).await;
        dialled.map_err(|_| anyhow!("no connection to {target} within {PATIENCE:?}"))?
    }

    async fn connect(target: &Target, peer: Peer, seat: &Seat<'_>) -> Result<Self> {
        let url = match peer {
            Peer::Tandem => target.url(""),
            Peer::Relay => target.url(&format!("room={}", seat.room)),
            Peer::SocketIo => socketio::url(target),
            Peer::Centrifugo => centrifugo::url(target),
        };
        let client = Self::open(target, url, seat.source, Way::Abrupt).await?;
        Ok(Self { peer, room: seat.room.to_owned(), id: seat.user.to_owned(), ..client })
    }

    async fn open(target: &Target, url: String, source: Option<Ipv4Addr>, way: Way) -> Result<Self> {
        let address = target.address();
        let tcp = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        match way {
            Way::Usual => {}
            Way::Narrow => tcp.set_recv_buffer_size(NARROW)?,
            Way::Abrupt => tcp.set_zero_linger()?,
        }
        if let (SocketAddr::V4(_), Some(source)) = (address, source) {
            tcp.bind(SocketAddr::from((source, 0)))?;
        }
        let tcp = tcp.connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
        tcp.set_nodelay(true)?;
        let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER);
        let (socket, _) = client_async_with_config(url, tcp, Some(config))
            .await
            .with_context(|| format!("{address} refused the WebSocket"))?;
        let (room, id) = (String::new(), String::new());
        Ok(Self { socket, peer: Peer::Tandem, room, id, session: None, waiting: VecDeque::new() })
    }

    async fn enter(&mut self, peer: Peer, seat: &Seat<'_>) -> Result<()> {
        if peer == Peer::SocketIo {
            self.socket.send(Message::Text(socketio::CONNECT.into())).await?;
            // Events before it is answered end the connection.
            self.id = loop {
                let frame = self.receive().await?;
                if frame.starts_with(socketio::CONNECT) {
                    break scan::text(&frame, "\"sid\":").context("its socket has no id")?.to_owned();
                }
            };
            self.socket.send(Message::Text(socketio::join(seat.room).into())).await?;
            while !self.receive().await?.starts_with(socketio::JOINED) {}
            return Ok(());
        }
        if peer == Peer::Centrifugo {
            self.socket.send(Message::Text(centrifugo::enter(seat.room).into())).await?;
            return self.until_subscribed().await;
        }
        let mut join = serde_json::json!({
            "type": "JOIN", "roomId": seat.room, "userId": seat.user, "username": seat.user,
        });
        if let (Some(features), Some(fields)) = (seat.features, join.as_object_mut()) {
            fields.insert("features".to_owned(), features.into());
        }
        self.send(join.to_string()).await?;
        loop {
            let frame = self.receive().await?;
            match peer {
                Peer::Tandem if scan::is_type(&frame, "ROOM_STATE") => return Ok(()),
                Peer::Tandem if scan::is_type(&frame, "ERROR") => bail!("JOIN refused: {frame}"),
                // The relay sends everything back to the sender too.
                Peer::Relay if scan::is_type(&frame, "JOIN") && frame.contains(seat.user) => {
                    return Ok(());
                }
                _ => {}
            }
        }
    }

    async fn until_subscribed(&mut self) -> Result<()> {
        loop {
            let reply = self.receive().await?;
            if centrifugo::is_error(&reply) {
                bail!("not let in: {reply}");
            }
            self.session = self.session.take().or_else(|| centrifugo::session(&reply));
            if centrifugo::is_subscribed(&reply) {
                return Ok(());
            }
        }
    }

    /// Sends one text frame to the room.
    pub(crate) async fn send(&mut self, text: impl Into<Utf8Bytes>) -> Result<()> {
        let text = text.into();
        let text = match self.peer {
            Peer::Tandem | Peer::Relay => text,
            Peer::SocketIo => socketio::wrap(&text).into(),
            Peer::Centrifugo => centrifugo::publish(&self.room, &text).into(),
        };
        Ok(self.socket.send(Message::Text(text)).await?)
    }

    /// Sends one text frame to one member: the one that its field `to` names.
    pub(crate) async fn send_to(&mut self, to: &str, text: String) -> Result<()> {
        let text = match self.peer {
            Peer::Tandem | Peer::Relay => text,
            Peer::SocketIo => socketio::direct(&text),
            Peer::Centrifugo => centrifugo::publish(to, &text),
        };
        Ok(self.socket.send(Message::Text(text.into())).await?)
    }

    /// What others have to name to reach this client alone. Centrifugo has no such name: a channel of its own is made.
    pub(crate) async fn address(&mut self) -> Result<String> {
        if self.peer == Peer::Centrifugo {
            self.socket.send(Message::Text(centrifugo::subscribe(&self.id).into())).await?;
            let subscribed = timeout(PATIENCE, self.until_subscribed()).await;
            subscribed.map_err(|_| anyhow!("no channel within {PATIENCE:?}"))??;
        }
        Ok(self.id.clone())
    }

    /// What others are told of this client when it joins.
    pub(crate) fn name(&self) -> &str {
        self.session.as_deref().unwrap_or(&self.id)
    }

    /// The one whom the frame says to have joined the room, if it is somebody else.
    pub(crate) fn newcomer<'a>(&self, frame: &'a str) -> Option<&'a str> {
        let name = match self.peer {
            Peer::Tandem | Peer::Relay => {
                scan::is_type(frame, "USER_JOINED").then(|| scan::text(frame, "\"userId\":")).flatten()
            }
            Peer::SocketIo => frame.strip_prefix(socketio::NEWCOMER).and_then(|news| scan::text(news, "\"id\":")),
            Peer::Centrifugo => centrifugo::joined(frame),
        };
        name.filter(|name| *name != self.name())
    }

    /// The next frame of that type; others are passed over.
    pub(crate) async fn receive_type(&mut self, name: &str) -> Result<Utf8Bytes> {
        let find = async {
            loop {
                let frame = self.receive().await?;
                if scan::is_type(&frame, name) {
                    return Ok(frame);
                }
                if scan::is_type(&frame, "ERROR") {
                    bail!("{name} was expected: {frame}");
                }
            }
        };
        timeout(PATIENCE, find).await.map_err(|_| anyhow!("no {name} within {PATIENCE:?}"))?
    }

    /// The next text frame. A close is an error: nobody here wants one.
    pub(crate) async fn receive(&mut self) -> Result<Utf8Bytes> {
        match self.next().await? {
            Said::Text(text) => Ok(text),
            Said::Close(Some(code)) => bail!("closed by the server: {code}"),
            Said::Close(None) => bail!("closed by the server"),
        }
    }

    /// The next text frame, or the end.
    pub(crate) async fn next(&mut self) -> Result<Said> {
        loop {
            if let Some(text) = self.waiting.pop_front() {
                return Ok(Said::Text(text));
            }
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) if self.peer == Peer::SocketIo && text.as_str() == socketio::PING => {
                    self.socket.send(Message::Text(socketio::PONG.into())).await?;
                }
                Some(Ok(Message::Text(text))) if self.peer == Peer::Centrifugo => {
                    for reply in centrifugo::replies(&text) {
                        if reply == centrifugo::PING {
                            self.socket.send(Message::Text(centrifugo::PONG.into())).await?;
                        } else {
                            self.waiting.push_back(reply.into());
                        }
                    }
                }
                Some(Ok(Message::Text(text))) => return Ok(Said::Text(text)),
                Some(Ok(Message::Close(frame))) => return Ok(Said::Close(frame.map(|frame| frame.code.into()))),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.into()),
                None => return Ok(Said::Close(None)),
            }
        }
    }
}
