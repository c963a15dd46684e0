//! A TCP proxy that misbehaves on demand, between a node and Redis.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::sleep,
};

/// What happens to the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Mode {
    /// They pass.
    Pass,
    /// Nothing passes in either direction, and no connection ends: a network that is cut.
    Hole,
    /// Like [`Mode::Pass`] until a client joins a room; then requests pass, and answers do not.
    MuteFromJoin,
    /// Requests pass, answers do not.
    Mute,
    /// Answers pass, but pushes of Redis do not: the link looks healthy and is deaf.
    Deaf,
}

/// Stops when dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    mode: Arc<AtomicU8>,
    dropped: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

impl Proxy {
    pub async fn start(target: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (mode, dropped) = (Arc::new(AtomicU8::new(Mode::Pass as u8)), Arc::new(AtomicU64::new(0)));
        let (its, lost) = (Arc::clone(&mode), Arc::clone(&dropped));
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let (its, lost) = (Arc::clone(&its), Arc::clone(&lost));
                connections.spawn(async move {
                    // A connection that is opened during a cut never gets anywhere.
                    while its.load(Ordering::Relaxed) == Mode::Hole as u8 {
                        sleep(Duration::from_millis(10)).await;
                    }
                    let Ok(server) = TcpStream::connect(("127.0.0.1", target)).await else { return };
                    // Only existing connections become deaf; later ones receive pushes.
                    let fresh = its.load(Ordering::Relaxed) == Mode::Deaf as u8;
                    let (mut from_client, mut to_client) = client.into_split();
                    let (mut from_server, mut to_server) = server.into_split();
                    let up = async {
                        let mut buffer = vec![0; 65_536];
                        while let Ok(length @ 1..) = from_client.read(&mut buffer).await {
                            pass(&its).await;
                            // The field of a member is written.
                            let joins = buffer[..length].windows(4).any(|window| window == b"\r\nm:");
                            if joins && its.load(Ordering::Relaxed) == Mode::MuteFromJoin as u8 {
                                its.store(Mode::Mute as u8, Ordering::Relaxed);
                            }
                            if to_server.write_all(&buffer[..length]).await.is_err() {
                                break;
                            }
                        }
                    };
                    let down = async {
                        let (mut buffer, mut waiting) = (vec![0; 65_536], Vec::new());
                        while let Ok(length @ 1..) = from_server.read(&mut buffer).await {
                            pass(&its).await;
                            while its.load(Ordering::Relaxed) == Mode::Mute as u8 {
                                sleep(Duration::from_millis(10)).await;
                            }
                            waiting.extend_from_slice(&buffer[..length]);
                            let deaf = !fresh && its.load(Ordering::Relaxed) == Mode::Deaf as u8;
                            let mut out = Vec::new();
                            while let Some(end) = reply_end(&waiting, 0) {
                                let reply: Vec<u8> = waiting.drain(..end).collect();
                                // The confirmation of a subscription is an answer, though it looks the same.
                                if deaf
                                    && reply.starts_with(b">")
                                    && reply.windows(8).any(|window| window == b"smessage")
                                {
                                    lost.fetch_add(1, Ordering::Relaxed);
                                } else {
                                    out.extend(reply);
                                }
                            }
                            if to_client.write_all(&out).await.is_err() {
                                break;
                            }
                        }
                    };
                    tokio::select! {
                        () = up => {}
                        () = down => {}
                    }
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Self { address, mode, dropped, task }
    }

    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    pub fn set(&self, mode: Mode) {
        self.mode.store(mode as u8, Ordering::Relaxed);
    }

    /// Messages that a deaf link did not let through.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(mode: &AtomicU8) {
    while mode.load(Ordering::Relaxed) == Mode::Hole as u8 {
        sleep(Duration::from_millis(10)).await;
    }
}

/// Where the RESP3 value that begins at `start` ends, if all of it is there.
fn reply_end(bytes: &[u8], start: usize) -> Option<usize> {
    let line = start + bytes.get(start..)?.windows(2).position(|window| window == b"\r\n")?;
    let number = || std::str::from_utf8(&bytes[start + 1..line]).ok()?.parse::<i64>().ok();
    let mut end = line + 2;
    match bytes[start] {
        b'$' | b'=' | b'!' => match number()? {
            -1 => Some(end),
            length => {
                let end = end + usize::try_from(length).ok()? + 2;
                (bytes.len() >= end).then_some(end)
            }
        },
        kind @ (b'*' | b'~' | b'>' | b'%') => {
            let count = number()?.max(0) * if kind == b'%' { 2 } else { 1 };
            for _ in 0..count {
                end = reply_end(bytes, end)?;
            }
            Some(end)
        }
        _ => Some(end),
    }
}
