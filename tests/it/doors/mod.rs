//! HTTP and WebSocket connections of all kinds of clients and proxies.

mod connections;
mod cors;
mod faults;
mod files;
mod handshake;
mod http2;
mod http2_floods;
mod invites;
mod listening;
mod peers;
mod proxies;
mod tags;
mod tls;

use std::net::SocketAddr;

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use tandem_testkit::DEADLINE;

/// The key in the example of the RFC.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// Sends a request with these lines, and returns the head and the body of the answer. The connection stays open, so the answer must state
/// its length.
async fn ask(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    method: &str,
    target: &str,
    lines: &[&str],
) -> (String, String) {
    let lines: String = lines.iter().flat_map(|line| [line, "\r\n"]).collect();
    stream.write_all(format!("{method} {target} HTTP/1.1\r\nHost: x\r\n{lines}\r\n").as_bytes()).await.unwrap();
    answer(stream, method).await
}

async fn answer(stream: &mut (impl AsyncRead + Unpin), method: &str) -> (String, String) {
    let mut head = Vec::new();
    let reading = async {
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("a whole head"));
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        let length = field(&head, "content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; if method == "HEAD" { 0 } else { length }];
        stream.read_exact(&mut body).await.unwrap();
        (head, String::from_utf8(body).unwrap())
    };
    timeout(DEADLINE, reading).await.expect("an answer in time")
}

fn status(head: &str) -> u16 {
    head.split(' ').nth(1).unwrap().parse().unwrap()
}

/// The first line of a header, in a head in lower case.
fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().filter_map(|line| line.split_once(':')).find(|(key, _)| *key == name).map(|(_, value)| value.trim())
}

async fn connect(addr: SocketAddr) -> TcpStream {
    let stream = timeout(DEADLINE, TcpStream::connect(addr)).await.unwrap().unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}
