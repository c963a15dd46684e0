//! The attacker, in a process of its own.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::atomic::{AtomicU16, AtomicU64, Ordering},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use clap::Args;
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _, future::join_all};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::{Instant, sleep, timeout, timeout_at},
};
use tokio_tungstenite::{WebSocketStream, client_async, tungstenite::Message};

use super::{Kind, harmless};

/// The addresses that attackers come from, and the harmless client beside whom one is seen; no other client of `loadtest` does.
const ATTACKER: Ipv4Addr = Ipv4Addr::new(127, 0, 1, 1);
const HARMLESS: Ipv4Addr = Ipv4Addr::new(127, 0, 1, 2);
/// The number of connections so far.
static PORT: AtomicU16 = AtomicU16::new(0);
/// How long an attacker waits for an answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
/// How an ERROR begins.
pub(super) const ERROR: &str = "{\"type\":\"ERROR\"";
/// The pause of a task that was refused: one that does not pause at all mostly takes CPU time from its own machine.
const REFUSED: Duration = Duration::from_millis(5);

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[arg(long)]
    kind: Kind,
    #[arg(long)]
    target: SocketAddr,
    #[arg(long)]
    seconds: u32,
    /// Be harmless instead, and do so much each second of what is plain in place of the attack
    #[arg(long)]
    harmless: Option<f64>,
}

/// Where somebody comes from and goes to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way {
    pub(super) source: Ipv4Addr,
    pub(super) target: SocketAddr,
}

/// What an attacker tried and got.
#[derive(Debug, Default, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Gain {
    /// Connections, requests or messages.
    pub(crate) tried: u64,
    /// Those that the server took: connections that stay open, answers with 200 or 404, messages that could be written and were not answered
    /// with an ERROR.
    pub(crate) granted: u64,
    /// Those that it refused.
    pub(crate) refused: u64,
    pub(crate) bytes_sent: u64,
}

#[derive(Debug, Default)]
pub(super) struct Tally {
    tried: AtomicU64,
    refused: AtomicU64,
    bytes: AtomicU64,
}

impl Tally {
    pub(super) fn add(&self, granted: bool, bytes: usize) {
        self.tried.fetch_add(1, Ordering::Relaxed);
        self.refused.fetch_add((!granted).into(), Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// What was written before is refused.
    fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    fn gain(&self) -> Gain {
        let load = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let (tried, refused) = (load(&self.tried), load(&self.refused));
        Gain { tried, granted: tried.saturating_sub(refused), refused, bytes_sent: load(&self.bytes) }
    }
}

/// Attacks until the time is over, and prints the gain.
pub(crate) async fn run(options: &Options) -> Result<()> {
    let (tally, until) = (Tally::default(), Instant::now() + Duration::from_secs(options.seconds.into()));
    if let Some(per_second) = options.harmless {
        let way = Way { source: HARMLESS, target: options.target };
        harmless::run(options.kind.plain(), way, per_second, until, &tally).await;
        println!("{}", serde_json::to_string(&tally.gain())?);
        return Ok(());
    }
    let way = Way { source: ATTACKER, target: options.target };
    let tasks = (0..options.kind.tasks()).map(|number| {
        let (tally, options) = (&tally, &options);
        async move {
            let mut kept = Vec::new();
            while Instant::now() < until {
                // A task that fails, because its connection ended, begins again.
                match timeout_at(until, strike(options.kind, way, number, &mut kept, tally)).await {
                    Ok(Ok(())) | Err(_) => {}
                    Ok(Err(_)) => {
                        tally.add(false, 0);
                        sleep(REFUSED).await;
                    }
                }
            }
        }
    });
    join_all(tasks).await;
    println!("{}", serde_json::to_string(&tally.gain())?);
    Ok(())
}

pub(super) async fn connect(way: Way) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    // One port after the other: the kernel's own search for a free one, beyond some thousand, holds up everybody on this machine.
    let port = 10_000 + PORT.fetch_add(1, Ordering::Relaxed) % 20_000;
    socket.bind((way.source, port).into())?;
    socket.set_zero_linger()?;
    Ok(timeout(PATIENCE, socket.connect(way.target)).await??)
}

pub(super) async fn upgrade(way: Way) -> Result<WebSocketStream<TcpStream>> {
    let stream = connect(way).await?;
    Ok(timeout(PATIENCE, client_async(format!("ws://{}/ws", way.target), stream)).await??.0)
}

pub(super) async fn join(way: Way, room: &str, user: &str) -> Result<WebSocketStream<TcpStream>> {
    let mut socket = upgrade(way).await?;
    let join = json!({"type": "JOIN", "roomId": room, "userId": user, "username": user, "features": []});
    socket.send(Message::text(join.to_string())).await?;
    let answer = timeout(PATIENCE, socket.next()).await?.context("no answer")??;
    if !answer.to_text()?.contains("ROOM_STATE") {
        bail!("refused");
    }
    Ok(socket)
}

/// One blow; those without an end last until their connection is closed.
async fn strike(kind: Kind, way: Way, task: u32, kept: &mut Vec<TcpStream>, tally: &Tally) -> Result<()> {
    match kind {
        Kind::Connects => {
            upgrade(way).await?;
            tally.add(true, 0);
        }
        Kind::Silent => {
            let mut socket = upgrade(way).await?;
            // Refused later is refused, too.
            if socket.next().now_or_never().is_none() {
                tally.add(true, 0);
                kept.push(socket.into_inner());
            }
        }
        Kind::HalfOpen => {
            let mut stream = connect(way).await?;
            let refused = timeout(REFUSED, stream.read_u8()).await.is_ok();
            tally.add(!refused, 0);
            if !refused {
                kept.push(stream);
            }
        }
        Kind::Unread => {
            let mut stream = connect(way).await?;
            let request = format!("GET /assets/app.js HTTP/1.1\r\nHost: {}\r\n\r\n", way.target);
            loop {
                stream.write_all(request.as_bytes()).await?;
                tally.add(true, request.len());
            }
        }
        Kind::Metrics => ask(way, |_| "/metrics".to_owned(), tally).await?,
        Kind::Codes => ask(way, |number| format!("/api/room/{task:02}AB{number:04}"), tally).await?,
        Kind::Rooms => {
            let mut socket = join(way, &format!("junk-{}", rand::random::<u64>()), "attacker").await?;
            tally.add(true, 0);
            loop {
                let room = format!("junk-{}", rand::random::<u64>());
                let join = json!({"type": "JOIN", "roomId": room, "userId": "attacker", "features": []}).to_string();
                let bytes = join.len();
                socket.send(Message::text(join)).await?;
                let answer = timeout(PATIENCE, socket.next()).await?.context("no answer")??;
                let granted = answer.to_text().is_ok_and(|answer| answer.contains("ROOM_STATE"));
                tally.add(granted, bytes);
                if !granted {
                    sleep(REFUSED).await;
                }
            }
        }
        Kind::Shouts => {
            let socket = join(way, "shouts", &format!("shouter-{task}")).await?;
            let shout = json!({"type": "BROADCAST", "event": "noise", "data": "x".repeat(3_900)}).to_string();
            send_on_and_on(socket, &shout, Duration::from_millis(10), tally).await?;
        }
        Kind::Shapes => {
            let socket = join(way, &format!("shapes-{task}"), "shaper").await?;
            let data: String = "[],".repeat(21_000);
            let shape = format!("{{\"type\":\"BROADCAST\",\"event\":\"e\",\"data\":[{data}1]}}");
            send_on_and_on(socket, &shape, Duration::from_millis(10), tally).await?;
        }
        Kind::Parts => {
            let mut stream = upgrade(way).await?.into_inner();
            // A text without its end, and empty continuations.
            stream.write_all(&[0x01, 0x80, 0, 0, 0, 0]).await?;
            let parts = [0x00, 0x80, 0, 0, 0, 0].repeat(1_000);
            loop {
                stream.write_all(&parts).await?;
                tally.add(true, parts.len());
            }
        }
    }
    Ok(())
}

/// Sends a message at a pace, and reads what comes.
async fn send_on_and_on(
    socket: WebSocketStream<TcpStream>,
    message: &str,
    pause: Duration,
    tally: &Tally,
) -> Result<()> {
    let (mut sink, mut stream) = socket.split();
    let send = async {
        loop {
            sink.send(Message::text(message)).await?;
            tally.add(true, message.len());
            sleep(pause).await;
        }
    };
    let read = async {
        while let Some(Ok(message)) = stream.next().await {
            if message.to_text().is_ok_and(|text| text.starts_with(ERROR)) {
                tally.refuse();
            }
        }
        bail!("closed")
    };
    tokio::select! {
        failed = send => failed,
        closed = read => closed,
    }
}

/// Asks for one path after the other over one connection.
async fn ask(way: Way, path: impl Fn(u32) -> String, tally: &Tally) -> Result<()> {
    let mut stream = connect(way).await?;
    let mut answer = vec![0; 256 * 1024];
    for number in 0..10_000 {
        let request = format!("GET {} HTTP/1.1\r\nHost: {}\r\n\r\n", path(number), way.target);
        stream.write_all(request.as_bytes()).await?;
        let read = timeout(PATIENCE, stream.read(&mut answer)).await??;
        let status = answer.get(9..12).unwrap_or_default();
        let granted = read > 12 && (status == b"200" || status == b"404");
        tally.add(granted, request.len());
        if !granted {
            sleep(REFUSED).await;
        }
        if read == 0 {
            bail!("closed");
        }
    }
    Ok(())
}
