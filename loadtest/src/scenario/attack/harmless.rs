//! A client that does no harm, at the rate that was granted to an attacker or that it tried: what the attacker's work would cost if it were plain.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures_util::{SinkExt as _, StreamExt as _, future::join_all};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, Interval, MissedTickBehavior, interval, timeout, timeout_at},
};
use tokio_tungstenite::{WebSocketStream, tungstenite::Message};

use super::{
    attacker::{ERROR, PATIENCE, Tally, Way, connect, join, upgrade},
    kind::Plain,
};

/// What one socket may spend each second, in messages: a little more than half of the default of `MESSAGES_PER_SECOND`.
const SPENT: f64 = 60.0;
/// Connections that ask, or that come and go.
const ASKERS: u32 = 8;
/// Sockets at most.
const MOST: u32 = 400;
/// Members of a room in which all of them talk.
const CHATTING: u32 = 100;
/// Sockets and connections that each of those keeps who open one after the other: all together less than one address may have.
const STAYING: usize = 500;
const CALLING: usize = 10;

impl Plain {
    /// How many connections at a time do it so often.
    fn tasks(self, per_second: f64) -> u32 {
        let cost = match self {
            Self::Visit | Self::Stay | Self::Call | Self::Ask(_) => return ASKERS,
            Self::Chat(_) => return CHATTING,
            Self::Join => 10.0,
            // One for each 1,024 bytes.
            Self::Say(bytes) => 1.0 + f64::from(u32::try_from(bytes / 1_024).unwrap_or(u32::MAX)),
        };
        let needed = (1..MOST).find(|tasks| f64::from(*tasks) * SPENT >= per_second * cost);
        needed.unwrap_or(MOST)
    }
}

/// Does it until the time is over.
pub(super) async fn run(plain: Plain, way: Way, per_second: f64, until: Instant, tally: &Tally) {
    if per_second <= 0.0 {
        return;
    }
    let tasks = plain.tasks(per_second);
    let every = Duration::from_secs_f64(f64::from(tasks) / per_second);
    let each = (0..tasks).map(|number| async move {
        let mut ticks = interval(every);
        // What is late is done at once, so that the rate is held.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut kept = Vec::new();
        while Instant::now() < until {
            match timeout_at(until, act(plain, way, number, &mut ticks, &mut kept, tally)).await {
                Ok(Ok(())) | Err(_) => {}
                Ok(Err(_)) => tally.add(false, 0),
            }
        }
    });
    join_all(each).await;
}

async fn act(
    plain: Plain,
    way: Way,
    task: u32,
    ticks: &mut Interval,
    kept: &mut Vec<TcpStream>,
    tally: &Tally,
) -> Result<()> {
    match plain {
        Plain::Visit => {
            ticks.tick().await;
            upgrade(way).await?;
            tally.add(true, 0);
        }
        Plain::Stay => {
            ticks.tick().await;
            keep(kept, upgrade(way).await?.into_inner(), STAYING);
            tally.add(true, 0);
        }
        Plain::Call => {
            ticks.tick().await;
            let mut stream = connect(way).await?;
            ask(&mut stream, way, "/health").await?;
            keep(kept, stream, CALLING);
            tally.add(true, 0);
        }
        Plain::Ask(path) => {
            let mut stream = connect(way).await?;
            for _ in 0..10_000 {
                ticks.tick().await;
                ask(&mut stream, way, path).await?;
                tally.add(true, 0);
            }
        }
        Plain::Join => {
            let (room, user) = (format!("plain-{task}"), "harmless");
            let mut socket = join(way, &room, user).await?;
            let again = json!({"type": "JOIN", "roomId": room, "userId": user, "features": []}).to_string();
            loop {
                ticks.tick().await;
                say(&mut socket, &again, "ROOM_STATE", tally).await?;
            }
        }
        Plain::Chat(bytes) => {
            let (mut sink, mut stream) = join(way, "plain-chat", &format!("harmless-{task}")).await?.split();
            let text = json!({"type": "BROADCAST", "event": "e", "data": "x".repeat(bytes)}).to_string();
            loop {
                tokio::select! {
                    _ = ticks.tick() => {
                        sink.send(Message::text(&text)).await?;
                        tally.add(true, text.len());
                    }
                    heard = stream.next() => {
                        let heard = heard.context("the socket is closed")??;
                        if heard.to_text().is_ok_and(|text| text.starts_with(ERROR)) {
                            bail!("refused");
                        }
                    }
                }
            }
        }
        Plain::Say(bytes) => {
            let mut socket = join(way, &format!("plain-{task}"), "harmless").await?;
            let text = json!({"type": "BROADCAST", "event": "e", "data": "x".repeat(bytes)}).to_string();
            loop {
                ticks.tick().await;
                say(&mut socket, &text, "BROADCAST", tally).await?;
            }
        }
    }
    Ok(())
}

/// Keeps a connection, in place of the oldest one if there are enough.
fn keep(kept: &mut Vec<TcpStream>, stream: TcpStream, most: usize) {
    if kept.len() >= most {
        kept.remove(0);
    }
    kept.push(stream);
}

/// Sends a frame and waits for the answer.
async fn say(socket: &mut WebSocketStream<TcpStream>, text: &str, answer: &str, tally: &Tally) -> Result<()> {
    socket.send(Message::text(text)).await?;
    loop {
        let heard = timeout(PATIENCE, socket.next()).await?.context("the socket is closed")??;
        let heard = heard.to_text().unwrap_or_default();
        if heard.contains(answer) {
            tally.add(true, text.len());
            return Ok(());
        }
        if heard.contains("\"ERROR\"") {
            bail!("refused");
        }
    }
}

/// Asks, and reads the whole answer.
async fn ask(stream: &mut TcpStream, way: Way, path: &str) -> Result<()> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", way.target);
    stream.write_all(request.as_bytes()).await?;
    let (mut answer, mut part) = (Vec::new(), vec![0; 64 * 1024]);
    loop {
        let read = timeout(PATIENCE, stream.read(&mut part)).await??;
        if read == 0 {
            bail!("closed");
        }
        answer.extend(part.iter().take(read));
        if let Some(whole) = length(&answer)
            && answer.len() >= whole
        {
            return if answer.get(9..12) == Some(b"200") { Ok(()) } else { bail!("refused") };
        }
    }
}

/// The length of an answer, once its head is there.
fn length(answer: &[u8]) -> Option<usize> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(answer.get(..end)?).ok()?.to_ascii_lowercase();
    let body = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    Some(end + body.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_sockets_as_the_rate_needs() {
        assert_eq!(Plain::Say(100).tasks(5.0), 1);
        assert_eq!(Plain::Say(100).tasks(600.0), 10);
        assert_eq!(Plain::Say(63_000).tasks(5.0), 6);
        assert_eq!(Plain::Join.tasks(120.0), 20);
        assert_eq!(Plain::Say(100).tasks(1e9), MOST);
        assert_eq!(Plain::Visit.tasks(1e9), ASKERS);
        assert_eq!(Plain::Chat(100).tasks(5.0), CHATTING);
    }

    #[test]
    fn an_answer_is_whole_with_its_body() {
        assert_eq!(length(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n"), None);
        assert_eq!(length(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\na"), Some(41));
        assert_eq!(length(b"HTTP/1.1 200 OK\r\n\r\n"), Some(19));
    }
}
