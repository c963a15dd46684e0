//! A bare relay to compare tandem with: axum, a room is a list of channels, every frame goes to every member.
//!
//! It keeps no state, parses nothing and has no ledger. What tandem costs beyond it is the cost of tandem's features.

use std::{
    collections::HashMap,
    net::Ipv4Addr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::Result;
use axum::{
    Router,
    extract::{
        Query, State, WebSocketUpgrade,
        ws::{Message, Utf8Bytes, WebSocket},
    },
    response::Response,
    routing::get,
    serve::ListenerExt,
};
use clap::Args;
use futures_util::SinkExt;
use serde::Deserialize;
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
    signal::unix::{SignalKind, signal},
    sync::mpsc::{self, Sender},
};

const READ_BUFFER: usize = 4096;

/// Frames that may wait for one socket; a member that has more is dropped.
const QUEUE: usize = 256;

/// Frames that are written with one flush.
const BATCH: usize = 32;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Port on 127.0.0.1; 0 for any
    #[arg(long, env = "PORT", default_value_t = 0)]
    pub(super) port: u16,
    /// Threads that serve sockets [default: as many as there are CPUs]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    threads: Option<u32>,
}

#[derive(Debug, Deserialize)]
struct Entry {
    room: String,
}

#[derive(Debug, Default)]
struct Relay {
    rooms: Mutex<HashMap<String, Arc<Room>>>,
    next_id: AtomicU64,
}

#[derive(Debug, Default)]
struct Room(Mutex<Vec<(u64, Sender<Utf8Bytes>)>>);

/// Serves until it is told to stop.
pub(crate) fn run(options: &Options) -> Result<()> {
    runtime(options)?.block_on(serve(options))
}

/// A runtime with the number of threads that was asked for.
pub(super) fn runtime(options: &Options) -> Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    if let Some(threads) = options.threads {
        builder.worker_threads(usize::try_from(threads)?);
    }
    Ok(builder.enable_all().build()?)
}

async fn serve(options: &Options) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await?;
    println!("{}", serde_json::json!({"msg": "listening", "addr": listener.local_addr()?.to_string()}));
    let listener = listener.tap_io(|tcp| {
        // A socket that is already closed is noticed by the next read.
        let _ = tcp.set_nodelay(true);
    });
    let app = Router::new().route("/ws", get(upgrade)).with_state(Arc::<Relay>::default());
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        served = async { axum::serve(listener, app).await } => served?,
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    Ok(())
}

async fn upgrade(Query(entry): Query<Entry>, State(relay): State<Arc<Relay>>, upgrade: WebSocketUpgrade) -> Response {
    upgrade
        .read_buffer_size(READ_BUFFER)
        .on_upgrade(move |socket| async move { relay.member(entry.room, socket).await })
}

impl Relay {
    async fn member(&self, name: String, mut socket: WebSocket) {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (sender, mut queue) = mpsc::channel(QUEUE);
        let room = {
            let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
            let room = Arc::clone(rooms.entry(name.clone()).or_default());
            room.members().push((id, sender));
            room
        };
        let mut batch = Vec::new();
        loop {
            tokio::select! {
                frame = socket.recv() => match frame {
                    Some(Ok(Message::Text(text))) => room.forward(&text),
                    Some(Ok(Message::Close(_)) | Err(_)) | None => break,
                    Some(Ok(_)) => {}
                },
                count = queue.recv_many(&mut batch, BATCH) => {
                    if count == 0 || write(&mut socket, &mut batch).await.is_err() {
                        break;
                    }
                }
            }
        }
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        let mut members = room.members();
        members.retain(|(member, _)| *member != id);
        if members.is_empty() {
            rooms.remove(&name);
        }
    }
}

impl Room {
    fn members(&self) -> std::sync::MutexGuard<'_, Vec<(u64, Sender<Utf8Bytes>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forward(&self, text: &Utf8Bytes) {
        self.members().retain(|(_, member)| member.try_send(text.clone()).is_ok());
    }
}

async fn write(socket: &mut WebSocket, batch: &mut Vec<Utf8Bytes>) -> Result<(), axum::Error> {
    for text in batch.drain(..) {
        socket.feed(Message::Text(text)).await?;
    }
    socket.flush().await
}
