//! How a client gets its connection, or does not.

use std::net::SocketAddr;

use tokio::net::TcpSocket;
use tokio_tungstenite::{
    client_async,
    tungstenite::{
        Error,
        client::IntoClientRequest,
        http::{HeaderName, HeaderValue, Response},
    },
};

use crate::{Client, TestApp};

/// How to connect other than plainly.
#[derive(Default, Clone, Copy)]
pub struct Connect<'a> {
    pub path: Option<&'a str>,
    pub headers: &'a [(&'a str, &'a str)],
    pub receive_buffer: Option<u32>,
    /// The last byte of the loopback address to connect from.
    pub source: Option<u8>,
}

impl Client {
    pub async fn connect(app: &TestApp) -> Self {
        Self::connect_with(app, Connect::default()).await
    }

    /// Connects from another address, as the proxy in front tells (`TRUST_PROXY_HOPS=1`).
    pub async fn connect_from(app: &TestApp, address: &str) -> Self {
        let headers = [("X-Forwarded-For", address)];
        Self::connect_with(app, Connect { headers: &headers, ..Connect::default() }).await
    }

    pub async fn connect_with(app: &TestApp, how: Connect<'_>) -> Self {
        Self::try_connect(app, how).await.unwrap_or_else(|refused| panic!("upgrade refused: {refused:?}"))
    }

    /// `Err` is the answer to a refused upgrade.
    pub async fn try_connect(app: &TestApp, how: Connect<'_>) -> Result<Self, Response<Option<Vec<u8>>>> {
        Self::try_connect_to(app.addr(), how).await
    }

    /// To a node of one's choice.
    pub async fn connect_to(address: SocketAddr) -> Self {
        let connected = Self::try_connect_to(address, Connect::default()).await;
        connected.unwrap_or_else(|refused| panic!("upgrade refused: {refused:?}"))
    }

    pub async fn try_connect_to(address: SocketAddr, how: Connect<'_>) -> Result<Self, Response<Option<Vec<u8>>>> {
        let url = format!("ws://{address}{}", how.path.unwrap_or("/ws"));
        let mut request = url.into_client_request().unwrap();
        for (key, value) in how.headers {
            let key: HeaderName = key.parse().unwrap();
            request.headers_mut().append(key, HeaderValue::from_str(value).unwrap());
        }
        let socket = TcpSocket::new_v4().unwrap();
        if let Some(size) = how.receive_buffer {
            socket.set_recv_buffer_size(size).unwrap();
        }
        if let Some(last) = how.source {
            socket.bind(([127, 0, 0, last], 0).into()).unwrap();
        }
        let stream = socket.connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        match client_async(request, stream).await {
            Ok((ws, response)) => {
                let headers = response.headers().iter();
                let handshake =
                    headers.map(|(key, value)| (key.to_string(), value.to_str().unwrap().to_owned())).collect();
                let mut client = Self::new(ws, handshake);
                client.joined_by_url(how.path.unwrap_or_default());
                Ok(client)
            }
            Err(Error::Http(response)) => Err(*response),
            Err(error) => panic!("handshake: {error}"),
        }
    }
}
