//! A minimal HTTP/1.1 client, which can also send what no proper client would.

use std::{net::SocketAddr, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::DEADLINE;

#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("not JSON: {error}: {self:?}"))
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n")?;
        let mut lines = head.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers = lines.filter_map(|line| line.split_once(':'));
        let headers = headers.map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned())).collect();
        Some(Self { status, headers, body: body.to_owned() })
    }
}

/// A whole request with any method, headers and target.
pub async fn request(addr: SocketAddr, method: &str, target: &str, headers: &[(&str, &str)]) -> Reply {
    let lines: String = headers.iter().flat_map(|(key, value)| [key, ": ", value, "\r\n"]).collect();
    let text = format!("{method} {target} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n{lines}\r\n");
    raw(addr, text.as_bytes()).await.unwrap_or_else(|| panic!("no answer to {method} {target:.200}"))
}

/// Sends any bytes. Returns the answer until the server closes, or `None` if it is not HTTP.
pub async fn raw(addr: SocketAddr, bytes: &[u8]) -> Option<Reply> {
    let stream = TcpStream::connect(addr).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let bytes = bytes.to_vec();
    // The server may stop reading; only its answer counts.
    let writing = tokio::spawn(async move {
        let _ = writer.write_all(&bytes).await;
        writer
    });
    let mut answer = Vec::new();
    let mut chunk = vec![0; 16 * 1024];
    let reading = async {
        while let Ok(count @ 1..) = reader.read(&mut chunk).await {
            answer.extend_from_slice(&chunk[..count]);
        }
    };
    timeout(DEADLINE, reading).await.unwrap_or_else(|_| panic!("the connection was not closed in time"));
    writing.abort();
    Reply::parse(&answer)
}

/// The head of the answer to these bytes, with the connection still open then.
pub async fn head(addr: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    let reading = async {
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(stream.read_u8().await.unwrap());
        }
    };
    timeout(DEADLINE, reading).await.expect("an answer in time");
    String::from_utf8(answer).unwrap()
}

/// Sends one byte every `pace` and tells how long the server put up with it.
pub async fn trickle(addr: SocketAddr, bytes: &[u8], pace: Duration, limit: Duration) -> Option<Duration> {
    let begun = tokio::time::Instant::now();
    let (mut reader, mut writer) = TcpStream::connect(addr).await.unwrap().into_split();
    let bytes = bytes.to_vec();
    let writing = tokio::spawn(async move {
        for byte in bytes {
            if writer.write_all(&[byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(pace).await;
        }
        std::future::pending::<()>().await;
    });
    let mut sink = Vec::new();
    let ended = timeout(limit, reader.read_to_end(&mut sink)).await.is_ok();
    writing.abort();
    ended.then(|| begun.elapsed())
}
