//! The least that a server in one process can do for a message: read it, unmask it, look for one word in it, and write it to each member
//! of the room, with one write each. There is no HTTP server, no WebSocket library after the handshake, and no queue.

use std::{
    collections::HashMap,
    io,
    net::Ipv4Addr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::Result;
use tokio::{
    net::{TcpListener, TcpStream},
    signal::unix::{SignalKind, signal},
};
use tokio_tungstenite::{
    accept_hdr_async,
    tungstenite::handshake::server::{ErrorResponse, Request, Response},
};

use super::relay::{Options, runtime};

/// What every message of the benchmark has. A message without it goes to nobody.
const WORD: &[u8] = b"\"type\":\"";
/// Bytes that are read at once.
const READ: usize = 4096;
/// A peer that sends a longer message is dropped.
const LONGEST: usize = 64 * 1024;
const TEXT: u8 = 0x1;
const CLOSE: u8 = 0x8;

#[derive(Debug, Default)]
struct Floor {
    rooms: Mutex<HashMap<String, Arc<Room>>>,
    next_id: AtomicU64,
}

#[derive(Debug, Default)]
struct Room(Mutex<Vec<(u64, Arc<TcpStream>)>>);

/// Serves until it is told to stop.
pub(crate) fn run(options: &Options) -> Result<()> {
    runtime(options)?.block_on(serve(options))
}

async fn serve(options: &Options) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await?;
    println!("{}", serde_json::json!({"msg": "listening", "addr": listener.local_addr()?.to_string()}));
    let floor = Arc::<Floor>::default();
    let mut terminate = signal(SignalKind::terminate())?;
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (tcp, _) = accepted?;
                let floor = Arc::clone(&floor);
                tokio::spawn(async move {
                    // A member whose connection breaks is gone; the load tester notices.
                    let _ = floor.member(tcp).await;
                });
            }
            _ = terminate.recv() => return Ok(()),
            _ = tokio::signal::ctrl_c() => return Ok(()),
        }
    }
}

impl Floor {
    async fn member(&self, tcp: TcpStream) -> io::Result<()> {
        tcp.set_nodelay(true)?;
        let mut name = String::new();
        #[allow(clippy::result_large_err, reason = "the signature that the handshake calls")]
        let note_room = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
            request
                .uri()
                .query()
                .and_then(|query| query.strip_prefix("room="))
                .unwrap_or_default()
                .clone_into(&mut name);
            Ok(response)
        };
        // A client sends nothing before the answer to its handshake, so nothing is lost with the buffer of the library.
        let handshake = accept_hdr_async(tcp, note_room).await.map_err(io::Error::other)?;
        let tcp = Arc::new(handshake.into_inner());
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let room = Arc::clone(lock(&self.rooms).entry(name.clone()).or_default());
        room.members().push((id, Arc::clone(&tcp)));
        let ended = room.relay(&tcp).await;
        let mut rooms = lock(&self.rooms);
        let mut members = room.members();
        members.retain(|(member, _)| *member != id);
        if members.is_empty() {
            rooms.remove(&name);
        }
        ended
    }
}

impl Room {
    fn members(&self) -> MutexGuard<'_, Vec<(u64, Arc<TcpStream>)>> {
        lock(&self.0)
    }

    /// Reads messages, and writes them to all members, until the connection ends.
    async fn relay(&self, tcp: &TcpStream) -> io::Result<()> {
        let mut buffer = Vec::with_capacity(READ);
        loop {
            tcp.readable().await?;
            buffer.reserve(READ);
            match tcp.try_read_buf(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error),
            }
            while let Some((code, length)) = unmask(&mut buffer)? {
                let message: Vec<u8> = buffer.drain(..length).collect();
                match code {
                    CLOSE => return Ok(()),
                    TEXT if message.windows(WORD.len()).any(|part| part == WORD) => self.forward(&message),
                    _ => {}
                }
            }
        }
    }

    fn forward(&self, message: &[u8]) {
        let frame = frame(message);
        // A member that does not take all of it at once is dropped.
        self.members().retain(|(_, member)| member.try_write(&frame).is_ok_and(|written| written == frame.len()));
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// If a whole frame (RFC 6455, 5.2) is there, unmasks its message, moves it to the begin of the buffer, and returns its code and length.
fn unmask(buffer: &mut Vec<u8>) -> io::Result<Option<(u8, usize)>> {
    let (code, length, header) = match buffer.as_slice() {
        [first, second, ..] if second & 0x7f < 126 => (first & 0xf, usize::from(second & 0x7f), 2),
        [first, second, high, low, ..] if second & 0x7f == 126 => {
            (first & 0xf, usize::from(u16::from_be_bytes([*high, *low])), 4)
        }
        [_, second, ..] if second & 0x7f == 127 => return Err(io::ErrorKind::FileTooLarge.into()),
        _ => return Ok(None),
    };
    let Some(key) = buffer.get(header..).and_then(|rest| rest.first_chunk::<4>()).copied() else { return Ok(None) };
    if length > LONGEST {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let begin = header + key.len();
    let Some(message) = buffer.get_mut(begin..begin + length) else { return Ok(None) };
    for (byte, key) in message.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
    buffer.drain(..begin);
    Ok(Some((code, length)))
}

/// A text frame of a server.
fn frame(message: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(message.len() + 4);
    frame.push(0x80 | TEXT);
    match u8::try_from(message.len()) {
        Ok(length) if length < 126 => frame.push(length),
        _ => {
            frame.push(126);
            // Nothing longer is read.
            frame.extend(u16::try_from(message.len()).unwrap_or(u16::MAX).to_be_bytes());
        }
    }
    frame.extend(message);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame of a client.
    fn masked(message: &[u8]) -> Vec<u8> {
        let mut bytes = frame(message);
        let header = bytes.len() - message.len();
        bytes[1] |= 0x80;
        let key = [1, 2, 3, 4];
        let body: Vec<u8> = message.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
        [&bytes[..header], &key, &body].concat()
    }

    #[test]
    fn frames_are_read_whole_and_one_after_the_other() {
        let long = vec![b'x'; 300];
        let mut stream = [masked(b"short"), masked(&long)].concat();
        let rest = stream.split_off(20);
        assert_eq!(unmask(&mut stream).unwrap(), Some((TEXT, 5)));
        assert_eq!(stream.drain(..5).collect::<Vec<_>>(), b"short");
        assert_eq!(unmask(&mut stream).unwrap(), None, "the second is not whole");
        stream.extend(rest);
        assert_eq!(unmask(&mut stream).unwrap(), Some((TEXT, 300)));
        assert_eq!(stream, long);
        assert_eq!(frame(&long)[..4], [0x81, 126, 1, 44]);
    }
}
