//! One WebSocket client, as thin as possible: the load generator shares the machine with the servers that it measures.

mod centrifugo;
mod options;
mod peer;
pub(crate) mod scan;
mod socketio;
mod target;

pub(crate) use options::{ClientOptions, source};
pub(crate) use peer::Peer;
pub(crate) use target::Target;

use std::{
    collections::VecDeque,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use futures_util::{SinkExt, StreamExt};
use tokio::{
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{Message, Utf8Bytes, protocol::WebSocketConfig},
};

/// Limit for connecting, and another one for joining.
const PATIENCE: Duration = Duration::from_secs(20);

/// Bytes of a socket's read buffer: thousands of sockets live in this process.
const READ_BUFFER: usize = 2048;

/// Bytes of the kernel's receive buffer of a client that is meant to be slow.
const SMALL_RECEIVE_BUFFER: u32 = 4096;

/// What a client reads from its socket.
#[derive(Debug)]
pub(crate) enum Event {
    /// A text frame.
    Text(Utf8Bytes),
    /// The end of the connection, with its close code.
    Close(Option<u16>),
}

#[derive(Debug)]
pub(crate) struct Join<'a> {
    pub(crate) room: &'a str,
    pub(crate) user: &'a str,
    /// The features that a client of tandem asks for; `None` for a first-generation client.
    pub(crate) features: Option<&'a [String]>,
    /// The loopback address to connect from; `None` leaves it to the system.
    pub(crate) source: Option<Ipv4Addr>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Connection {
    Normal,
    /// The kernel buffers little of what the client does not read.
    Slow,
    /// Closing resets the connection and frees its port at once: tens of thousands break and return within seconds.
    ResetOnClose,
}

#[derive(Debug)]
pub(crate) struct Client {
    socket: WebSocketStream<TcpStream>,
    peer: Peer,
    room: String,
    /// The name that a message for this client alone is sent to.
    id: String,
    /// Centrifugo's name for this connection.
    session: Option<String>,
    /// Replies of a frame that held several; only Centrifugo sends such frames.
    queued: VecDeque<Utf8Bytes>,
}

impl Client {
    /// Connects, joins, and waits for the server's confirmation.
    pub(crate) async fn join(target: &Target, peer: Peer, join: &Join<'_>) -> Result<Self> {
        let url = match peer {
            Peer::Tandem => target.url(""),
            Peer::Relay => target.url(&format!("room={}", join.room)),
            Peer::SocketIo => socketio::url(target),
            Peer::Centrifugo => centrifugo::url(target),
        };
        let connect = Self::open(target, url, join.source, Connection::ResetOnClose);
        let client = timeout(PATIENCE, connect)
            .await
            .map_err(|_| anyhow!("no connection to {target} within {PATIENCE:?}"))??;
        let mut client = Self { peer, room: join.room.to_owned(), id: join.user.to_owned(), ..client };
        timeout(PATIENCE, client.enter(join))
            .await
            .map_err(|_| anyhow!("{target} did not answer the join within {PATIENCE:?}"))??;
        Ok(client)
    }

    /// Connects to tandem without joining. A `slow` client has a small receive buffer.
    pub(crate) async fn connect(target: &Target, source: Option<Ipv4Addr>, slow: bool) -> Result<Self> {
        let connection = if slow { Connection::Slow } else { Connection::Normal };
        let connected = timeout(PATIENCE, Self::open(target, target.url(""), source, connection)).await;
        connected.map_err(|_| anyhow!("no connection to {target} within {PATIENCE:?}"))?
    }

    async fn open(target: &Target, url: String, source: Option<Ipv4Addr>, connection: Connection) -> Result<Self> {
        let address = target.address();
        let tcp = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        match connection {
            Connection::Normal => {}
            Connection::Slow => tcp.set_recv_buffer_size(SMALL_RECEIVE_BUFFER)?,
            Connection::ResetOnClose => tcp.set_zero_linger()?,
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
        Ok(Self { socket, peer: Peer::Tandem, room, id, session: None, queued: VecDeque::new() })
    }

    async fn enter(&mut self, join: &Join<'_>) -> Result<()> {
        match self.peer {
            Peer::SocketIo => {
                self.write(socketio::CONNECT).await?;
                // Socket.IO closes the connection if an event comes before its answer.
                self.id = loop {
                    let frame = self.receive().await?;
                    if frame.starts_with(socketio::CONNECT) {
                        break scan::text(&frame, "\"sid\":").context("Socket.IO sent no socket id")?.to_owned();
                    }
                };
                self.write(socketio::join(join.room)).await?;
                while !self.receive().await?.starts_with(socketio::JOINED) {}
                return Ok(());
            }
            Peer::Centrifugo => {
                self.write(centrifugo::enter(join.room)).await?;
                return self.until_subscribed().await;
            }
            Peer::Tandem | Peer::Relay => {}
        }
        let mut frame = serde_json::json!({
            "type": "JOIN", "roomId": join.room, "userId": join.user, "username": join.user,
        });
        if let (Some(features), Some(fields)) = (join.features, frame.as_object_mut()) {
            fields.insert("features".to_owned(), features.into());
        }
        self.write(frame.to_string()).await?;
        loop {
            let frame = self.receive().await?;
            match self.peer {
                Peer::Tandem if scan::is_type(&frame, "ROOM_STATE") => return Ok(()),
                Peer::Tandem if scan::is_type(&frame, "ERROR") => bail!("JOIN refused: {frame}"),
                // The relay sends every frame to its sender too.
                Peer::Relay if scan::is_type(&frame, "JOIN") && frame.contains(join.user) => return Ok(()),
                _ => {}
            }
        }
    }

    async fn until_subscribed(&mut self) -> Result<()> {
        loop {
            let reply = self.receive().await?;
            if centrifugo::is_error(&reply) {
                bail!("Centrifugo refused: {reply}");
            }
            self.session = self.session.take().or_else(|| centrifugo::session(&reply));
            if centrifugo::is_subscribed(&reply) {
                return Ok(());
            }
        }
    }

    async fn write(&mut self, text: impl Into<Utf8Bytes>) -> Result<()> {
        Ok(self.socket.send(Message::Text(text.into())).await?)
    }

    /// Sends a text frame to the room.
    pub(crate) async fn send(&mut self, text: String) -> Result<()> {
        match self.peer {
            Peer::Tandem | Peer::Relay => self.write(text).await,
            Peer::SocketIo => self.write(socketio::wrap(&text)).await,
            Peer::Centrifugo => self.write(centrifugo::publish(&self.room, &text)).await,
        }
    }

    /// Sends a text frame to one member, whose address is also the frame's field `to`.
    pub(crate) async fn send_to(&mut self, to: &str, text: String) -> Result<()> {
        match self.peer {
            Peer::Tandem | Peer::Relay => self.write(text).await,
            Peer::SocketIo => self.write(socketio::direct(&text)).await,
            Peer::Centrifugo => self.write(centrifugo::publish(to, &text)).await,
        }
    }

    /// The name to send to when a frame is for this client alone. For Centrifugo, that is a channel of its own.
    pub(crate) async fn address(&mut self) -> Result<String> {
        if self.peer == Peer::Centrifugo {
            self.write(centrifugo::subscribe(&self.id)).await?;
            let subscribed = timeout(PATIENCE, self.until_subscribed()).await;
            subscribed.map_err(|_| anyhow!("no channel of its own within {PATIENCE:?}"))??;
        }
        Ok(self.id.clone())
    }

    /// The name by which others hear of this client when it joins.
    pub(crate) fn name(&self) -> &str {
        self.session.as_deref().unwrap_or(&self.id)
    }

    /// The member that a frame announces as new in the room, unless it is this client.
    pub(crate) fn newcomer<'a>(&self, frame: &'a str) -> Option<&'a str> {
        let name = match self.peer {
            Peer::Tandem | Peer::Relay => {
                scan::is_type(frame, "USER_JOINED").then(|| scan::text(frame, "\"userId\":")).flatten()
            }
            Peer::SocketIo => frame.strip_prefix(socketio::NEWCOMER).and_then(|rest| scan::text(rest, "\"id\":")),
            Peer::Centrifugo => centrifugo::joined(frame),
        };
        name.filter(|name| *name != self.name())
    }

    /// The next frame of a type; skips others.
    pub(crate) async fn receive_type(&mut self, name: &str) -> Result<Utf8Bytes> {
        let find = async {
            loop {
                let frame = self.receive().await?;
                if scan::is_type(&frame, name) {
                    return Ok(frame);
                }
                if scan::is_type(&frame, "ERROR") {
                    bail!("expected {name}, got {frame}");
                }
            }
        };
        timeout(PATIENCE, find).await.map_err(|_| anyhow!("no {name} within {PATIENCE:?}"))?
    }

    /// The next text frame; a close is an error.
    pub(crate) async fn receive(&mut self) -> Result<Utf8Bytes> {
        match self.next().await? {
            Event::Text(text) => Ok(text),
            Event::Close(Some(code)) => bail!("the server closed the connection with code {code}"),
            Event::Close(None) => bail!("the server closed the connection"),
        }
    }

    /// The next text frame, or the end of the connection.
    pub(crate) async fn next(&mut self) -> Result<Event> {
        loop {
            if let Some(text) = self.queued.pop_front() {
                return Ok(Event::Text(text));
            }
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) if self.peer == Peer::SocketIo && text.as_str() == socketio::PING => {
                    self.write(socketio::PONG).await?;
                }
                Some(Ok(Message::Text(text))) if self.peer == Peer::Centrifugo => {
                    for reply in centrifugo::replies(&text) {
                        if reply == centrifugo::PING {
                            self.write(centrifugo::PONG).await?;
                        } else {
                            self.queued.push_back(reply.into());
                        }
                    }
                }
                Some(Ok(Message::Text(text))) => return Ok(Event::Text(text)),
                Some(Ok(Message::Close(frame))) => return Ok(Event::Close(frame.map(|frame| frame.code.into()))),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.into()),
                None => return Ok(Event::Close(None)),
            }
        }
    }
}
