//! A client of HTTP/2: requests, and sockets over extended CONNECT (RFC 8441).

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use h2::{
    RecvStream, SendStream,
    client::{Builder, SendRequest},
    ext::Protocol,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        http::{Method, Request, Response, StatusCode},
        protocol::Role,
    },
};

use crate::{Client, DEADLINE};

/// One connection.
pub struct Http2 {
    requests: SendRequest<Bytes>,
    /// How it ended.
    pub driver: JoinHandle<Result<(), h2::Error>>,
}

/// The two sides of a stream, as bytes.
pub struct Pipe {
    pub send: SendStream<Bytes>,
    pub receive: RecvStream,
    read: Bytes,
}

/// An answer that opened no socket.
#[derive(Debug)]
pub struct Refusal {
    pub head: Response<()>,
    pub body: String,
}

impl Refusal {
    pub fn status(&self) -> StatusCode {
        self.head.status()
    }
}

impl Http2 {
    /// Without TLS, with prior knowledge.
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self::over(stream, &Self::patient()).await
    }

    /// The h2 crate takes some hundred small messages that nobody has read yet for an attack; other clients do not.
    pub fn patient() -> Builder {
        let mut how = Builder::new();
        how.data_frame_budget(usize::MAX / 2);
        how
    }

    /// On a stream that is there.
    pub async fn over(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, how: &Builder) -> Self {
        let (requests, connection) = how.handshake(stream).await.unwrap();
        Self { requests, driver: tokio::spawn(connection) }
    }

    /// Sends a request without a body.
    pub async fn begin(
        &self,
        request: Request<()>,
        ends: bool,
    ) -> Result<(Response<RecvStream>, SendStream<Bytes>), h2::Error> {
        let mut requests = self.requests.clone().ready().await?;
        let (answer, send) = requests.send_request(request, ends)?;
        Ok((timeout(DEADLINE, answer).await.expect("an answer in time")?, send))
    }

    /// The answer to a request without a body.
    pub async fn ask(&self, method: Method, url: &str) -> Result<(Response<()>, String), h2::Error> {
        let request = Request::builder().method(method).uri(url).body(()).unwrap();
        whole(self.begin(request, true).await?.0).await
    }

    /// The stream of an extended CONNECT, once it is allowed.
    pub async fn connect_stream(
        &self,
        protocol: &'static str,
        url: &str,
        headers: &[(&str, &str)],
    ) -> Result<Pipe, Refusal> {
        // The node says so in its first frame.
        let allowed = async {
            while !self.requests.is_extended_connect_protocol_enabled() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(DEADLINE, allowed).await.expect("SETTINGS_ENABLE_CONNECT_PROTOCOL");
        let mut request = Request::builder().method(Method::CONNECT).uri(url);
        for (key, value) in headers {
            request = request.header(*key, *value);
        }
        let request = request.extension(Protocol::from_static(protocol)).body(()).unwrap();
        let (answer, send) = self.begin(request, false).await.unwrap();
        if answer.status() != StatusCode::OK {
            let (head, body) = whole(answer).await.unwrap();
            return Err(Refusal { head, body });
        }
        assert!(!answer.headers().contains_key("sec-websocket-accept"), "{answer:?}");
        Ok(Pipe { send, receive: answer.into_body(), read: Bytes::new() })
    }

    /// A socket.
    pub async fn socket(&self, url: &str, headers: &[(&str, &str)]) -> Result<Client, Refusal> {
        let headers = [&[("sec-websocket-version", "13")], headers].concat();
        let mut pipe = self.connect_stream("websocket", url, &headers).await?;
        // A client has a connection of its own: this is one within this machine.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (near, far) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        let mut far = far.unwrap().0;
        tokio::spawn(async move { copy_bidirectional(&mut pipe, &mut far).await });
        let ws = WebSocketStream::from_raw_socket(near.unwrap(), Role::Client, None).await;
        Ok(Client::new(ws, Vec::new()))
    }
}

async fn whole(answer: Response<RecvStream>) -> Result<(Response<()>, String), h2::Error> {
    let (head, mut body) = answer.into_parts();
    let mut text = Vec::new();
    while let Some(data) = timeout(DEADLINE, body.data()).await.expect("the body in time") {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        text.extend_from_slice(&data);
    }
    Ok((Response::from_parts(head, ()), String::from_utf8(text).unwrap()))
}

fn broken(error: h2::Error) -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, error)
}

impl AsyncRead for Pipe {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.read.is_empty() {
            match ready!(self.receive.poll_data(context)) {
                None => return Poll::Ready(Ok(())),
                Some(data) => self.read = data.map_err(broken)?,
            }
        }
        let taken = self.read.len().min(buf.remaining());
        buf.put_slice(&self.read[..taken]);
        self.read.advance(taken);
        let _ = self.receive.flow_control().release_capacity(taken);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.send.reserve_capacity(buf.len());
        while self.send.capacity() == 0 {
            match ready!(self.send.poll_capacity(context)) {
                Some(capacity) => capacity.map_err(broken)?,
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            };
        }
        let sent = self.send.capacity().min(buf.len());
        self.send.send_data(Bytes::copy_from_slice(&buf[..sent]), false).map_err(broken)?;
        Poll::Ready(Ok(sent))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.send.send_data(Bytes::new(), true).map_err(broken))
    }
}
