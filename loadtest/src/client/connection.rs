use std::{
    collections::VecDeque,
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};
use futures_util::{SinkExt, StreamExt};
use serde::{Deserialize, Serialize};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{Message, Utf8Bytes, protocol::WebSocketConfig},
};

use super::{Entry, Seat, centrifugo, scan, socketio, tandem};

/// Limit for connecting, and another one for joining.
const PATIENCE: Duration = Duration::from_secs(20);

/// Bytes of a socket's read buffer: thousands of sockets live in this process.
const READ_BUFFER: usize = 2048;

/// The protocol that a client speaks. A room is entered with JOIN on tandem, by the query string on the relay, with an event on Socket.IO,
/// and is a channel on Centrifugo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Peer {
    Tandem,
    Relay,
    SocketIo,
    Centrifugo,
}

/// What a client reads from its socket.
#[derive(Debug)]
pub(crate) enum Event {
    /// A text frame.
    Text(Utf8Bytes),
    /// The end of the connection, with its close code.
    Close(Option<u16>),
}

/// Where, and as whom, a client joins.
#[derive(Debug)]
pub(crate) struct Join<'a> {
    pub(crate) server: SocketAddr,
    pub(crate) peer: Peer,
    pub(crate) room: &'a str,
    pub(crate) user: &'a str,
    /// The features that a client of tandem asks for.
    pub(crate) features: &'a [String],
    /// The loopback address to connect from.
    pub(crate) source: Ipv4Addr,
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
    /// The place in a room of tandem, if it can be taken again.
    pub(crate) seat: Seat,
    /// How long it took to connect and join.
    pub(crate) joined_in: Duration,
    /// Replies of a frame that held several; only Centrifugo sends such frames.
    queued: VecDeque<Utf8Bytes>,
}

impl Client {
    /// Connects, takes the seat again if it was kept, or joins, and waits for the server's confirmation.
    pub(crate) async fn enter(join: &Join<'_>, seat: Seat) -> Result<(Self, Entry)> {
        let (server, begun) = (join.server, Instant::now());
        let connected = timeout(PATIENCE, Self::connect(join, seat)).await;
        let mut client = connected.map_err(|_| anyhow!("no connection to {server} within {PATIENCE:?}"))??;
        let confirmed = timeout(PATIENCE, client.confirm(join)).await;
        let entry = confirmed.map_err(|_| anyhow!("{server} did not answer the join within {PATIENCE:?}"))??;
        client.joined_in = begun.elapsed();
        Ok((client, entry))
    }

    async fn connect(join: &Join<'_>, seat: Seat) -> Result<Self> {
        let Join { server, peer, room, user, source, .. } = *join;
        let path = match peer {
            Peer::Tandem => "ws".to_owned(),
            Peer::Relay => format!("ws?room={room}"),
            Peer::SocketIo => socketio::PATH.to_owned(),
            Peer::Centrifugo => centrifugo::PATH.to_owned(),
        };
        let tcp = TcpSocket::new_v4()?;
        // Closing resets the connection and frees its port at once: tens of thousands break and return within seconds.
        tcp.set_zero_linger()?;
        tcp.bind(SocketAddr::from((source, 0)))?;
        let tcp = tcp.connect(server).await.with_context(|| format!("cannot connect to {server}"))?;
        tcp.set_nodelay(true)?;
        let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER);
        let (socket, _) = client_async_with_config(format!("ws://{server}/{path}"), tcp, Some(config))
            .await
            .with_context(|| format!("{server} refused the WebSocket"))?;
        let (room, id) = (room.to_owned(), user.to_owned());
        let (session, queued, joined_in) = (None, VecDeque::new(), Duration::ZERO);
        Ok(Self { socket, peer, room, id, session, seat, joined_in, queued })
    }

    async fn confirm(&mut self, join: &Join<'_>) -> Result<Entry> {
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
            }
            Peer::Centrifugo => {
                self.write(centrifugo::enter(join.room)).await?;
                self.until_subscribed().await?;
            }
            Peer::Relay => {
                self.write(tandem::join(join)).await?;
                // The relay sends every frame to its sender too.
                while !self.receive().await?.contains(join.user) {}
            }
            Peer::Tandem => return self.confirm_tandem(join).await,
        }
        Ok(Entry::Joined)
    }

    async fn confirm_tandem(&mut self, join: &Join<'_>) -> Result<Entry> {
        let mut resuming = self.seat.is_kept();
        self.write(if resuming { tandem::resume(join, &self.seat) } else { tandem::join(join) }).await?;
        loop {
            let frame = self.receive().await?;
            if let Some(entry) = tandem::entered(&frame) {
                self.seat.note(&frame);
                return Ok(entry);
            }
            if resuming && tandem::is_seat_gone(&frame) {
                resuming = false;
                self.write(tandem::join(join)).await?;
            } else if scan::is_type(&frame, "ERROR") {
                bail!("JOIN refused: {frame}");
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

    /// Breaks the connection, without a word to the server.
    pub(crate) async fn break_off(&mut self) {
        // One that is broken already is so much the better.
        let _ = self.socket.get_mut().shutdown().await;
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
