//! One WebSocket as a browser holds it, with as little as possible around it.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use clap::ValueEnum;
use futures_util::{SinkExt, StreamExt};
use tokio::{
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{Message, Utf8Bytes, protocol::WebSocketConfig},
};

use crate::{scan, socketio, target::Target};

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Peer {
    /// The signaling server: rooms by JOIN.
    Tandem,
    /// The bare relay: rooms by query string.
    Relay,
    /// Socket.IO: rooms by an event.
    SocketIo,
}

impl Peer {
    /// The name to show.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tandem => "tandem",
            Self::Relay => "relay",
            Self::SocketIo => "socket.io",
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

/// A connected client that is in a room.
#[derive(Debug)]
pub(crate) struct Client {
    socket: WebSocketStream<TcpStream>,
    /// Frames are wrapped as Socket.IO wants them.
    wrapped: bool,
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
        let dialled = timeout(PATIENCE, Self::open(target, target.url(""), source, narrow)).await;
        dialled.map_err(|_| anyhow!("no connection to {target} within {PATIENCE:?}"))?
    }

    async fn connect(target: &Target, peer: Peer, seat: &Seat<'_>) -> Result<Self> {
        let url = match peer {
            Peer::Tandem => target.url(""),
            Peer::Relay => target.url(&format!("room={}", seat.room)),
            Peer::SocketIo => socketio::url(target),
        };
        let client = Self::open(target, url, seat.source, false).await?;
        Ok(Self { wrapped: peer == Peer::SocketIo, ..client })
    }

    async fn open(target: &Target, url: String, source: Option<Ipv4Addr>, narrow: bool) -> Result<Self> {
        let address = target.address();
        let tcp = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if narrow {
            tcp.set_recv_buffer_size(NARROW)?;
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
        Ok(Self { socket, wrapped: false })
    }

    async fn enter(&mut self, peer: Peer, seat: &Seat<'_>) -> Result<()> {
        if peer == Peer::SocketIo {
            self.socket.send(Message::Text(socketio::CONNECT.into())).await?;
            // Events before it is answered end the connection.
            while !self.receive().await?.starts_with(socketio::CONNECT) {}
            self.socket.send(Message::Text(socketio::join(seat.room).into())).await?;
            while !self.receive().await?.starts_with(socketio::JOINED) {}
            return Ok(());
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

    /// Sends one text frame.
    pub(crate) async fn send(&mut self, text: impl Into<Utf8Bytes>) -> Result<()> {
        let mut text = text.into();
        if self.wrapped {
            text = socketio::wrap(&text).into();
        }
        Ok(self.socket.send(Message::Text(text)).await?)
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
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) if self.wrapped && text.as_str() == socketio::PING => {
                    self.socket.send(Message::Text(socketio::PONG.into())).await?;
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
