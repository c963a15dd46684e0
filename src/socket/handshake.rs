use std::future::Future;

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts},
    response::{IntoResponse as _, Response},
};
use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{GeneralPurpose, GeneralPurposeConfig},
};
use hyper::{ext::Protocol, upgrade::OnUpgrade};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::tungstenite::{handshake::derive_accept_key, protocol::WebSocketConfig};

use super::{
    opening::SUBPROTOCOL,
    web_socket::WebSocket,
    wire::{Lane, Wire},
};
use crate::headers::has_word;

/// A WebSocket on the server's side.
pub(super) type Socket = WebSocket<Wire>;

/// The only version (RFC 6455).
const VERSION: &str = "13";
/// The number of bytes of a decoded key.
const KEY_BYTES: usize = 16;
/// Some clients use random letters as keys; the last letter then has more bits than it should.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));
/// The protocol of an extended CONNECT (RFC 8441).
const PROTOCOL: &str = "websocket";
/// The methods of the path. HEAD gets the answer of a GET without an upgrade.
const ALLOWED: &str = "GET, HEAD, OPTIONS";

/// A valid WebSocket handshake.
#[derive(Debug)]
pub struct Handshake {
    way: Way,
    upgrade: OnUpgrade,
}

#[derive(Debug)]
enum Way {
    /// HTTP/1.1, with the proof that the key was read.
    Upgrade(String),
    /// A stream of HTTP/2.
    Connect(Lane),
}

/// Why a request is not a valid handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// The method or the version of HTTP is wrong.
    #[error("a WebSocket is opened with GET")]
    Method,
    /// A browser's visit, or the work of a proxy.
    #[error(
        "this is a WebSocket: it is opened with GET over HTTP/1.1 and the headers Connection: Upgrade and Upgrade: websocket. If they were \
         sent, a proxy on the way has taken them away; it must pass them on (nginx: proxy_http_version 1.1, proxy_set_header Upgrade \
         $http_upgrade, proxy_set_header Connection \"upgrade\")"
    )]
    Plain,
    /// The same over HTTP/2.
    #[error("this is a WebSocket: over HTTP/2 it is opened with CONNECT and the protocol websocket (RFC 8441)")]
    Stream,
    /// Another version of the protocol.
    #[error("Sec-WebSocket-Version must be 13")]
    Version,
    /// The key is missing, given twice, or does not have 16 bytes.
    #[error("Sec-WebSocket-Key must be there once, and be 16 bytes in base64")]
    Key,
}

/// Whether a request asks to become a WebSocket. An upgrade to anything else, such as h2c, may be passed over (RFC 9110, 7.8).
pub fn asks_for_socket(headers: &HeaderMap) -> bool {
    has_word(headers, header::CONNECTION, "upgrade") && has_word(headers, header::UPGRADE, "websocket")
}

/// Whether the protocol of an extended CONNECT is that of WebSockets.
pub fn is_of_sockets(parts: &Parts) -> bool {
    parts.extensions.get::<Protocol>().is_some_and(|it| it.as_str().eq_ignore_ascii_case(PROTOCOL))
}

impl Handshake {
    /// Reads the request of the client.
    pub fn read(parts: &mut Parts) -> Result<Self, Unfit> {
        if let Some(lane) = parts.extensions.remove() {
            return Self::of_stream(parts, lane);
        }
        let asks = asks_for_socket(&parts.headers);
        match parts.method {
            Method::GET => {}
            Method::HEAD if !asks => {}
            _ => return Err(Unfit::Method),
        }
        if !asks {
            return Err(Unfit::Plain);
        }
        if !has_word(&parts.headers, header::SEC_WEBSOCKET_VERSION, VERSION) {
            return Err(Unfit::Version);
        }
        let mut keys = parts.headers.get_all(header::SEC_WEBSOCKET_KEY).into_iter();
        let (Some(key), None) = (keys.next(), keys.next()) else { return Err(Unfit::Key) };
        let key = key.as_bytes().trim_ascii();
        if !BASE64.decode(key).is_ok_and(|bytes| bytes.len() == KEY_BYTES) {
            return Err(Unfit::Key);
        }
        let accept = derive_accept_key(key);
        // HTTP/1.0 has no upgrade.
        let upgrade = parts.extensions.remove().ok_or(Unfit::Plain)?;
        Ok(Self { way: Way::Upgrade(accept), upgrade })
    }

    /// There is no key to be answered over HTTP/2, and nothing to be upgraded (RFC 8441, 5).
    fn of_stream(parts: &mut Parts, lane: Lane) -> Result<Self, Unfit> {
        if parts.method != Method::CONNECT {
            return Err(Unfit::Stream);
        }
        if !has_word(&parts.headers, header::SEC_WEBSOCKET_VERSION, VERSION) {
            return Err(Unfit::Version);
        }
        let upgrade = parts.extensions.remove().ok_or(Unfit::Stream)?;
        Ok(Self { way: Way::Connect(lane), upgrade })
    }

    /// Answers the handshake. The socket is passed to `then` as soon as the client has received the answer.
    pub(super) fn accept<F>(
        self,
        config: WebSocketConfig,
        subprotocol: bool,
        then: impl FnOnce(Socket) -> F + Send + 'static,
    ) -> Response
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let Self { way, upgrade } = self;
        let (accept, ride) = match way {
            Way::Upgrade(accept) => (Some(accept), None),
            Way::Connect(lane) => (None, Some(lane.ride())),
        };
        tokio::spawn(async move {
            match upgrade.await {
                Ok(upgraded) => {
                    then(Socket::new(Wire::new(TokioIo::new(upgraded), ride), config).await).await;
                }
                Err(error) => tracing::debug!(%error, "a client went away during its upgrade"),
            }
        });
        let mut response = Response::new(Body::empty());
        let headers = response.headers_mut();
        if subprotocol {
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
        }
        if let Some(accept) = accept {
            headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            if let Ok(accept) = HeaderValue::from_str(&accept) {
                headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
            }
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        }
        response
    }
}

impl Unfit {
    /// The answer, which says what would be valid.
    pub fn answer(self) -> Response {
        let status = match self {
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Plain | Self::Version => StatusCode::UPGRADE_REQUIRED,
            Self::Key | Self::Stream => StatusCode::BAD_REQUEST,
        };
        let mut response = (status, format!("{self}\n")).into_response();
        let headers = response.headers_mut();
        match self {
            Self::Method => {
                headers.insert(header::ALLOW, HeaderValue::from_static(ALLOWED));
            }
            Self::Plain | Self::Version => {
                headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
                headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
                headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static(VERSION));
            }
            Self::Key | Self::Stream => {}
        }
        response
    }
}
