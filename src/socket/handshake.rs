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
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        handshake::derive_accept_key,
        protocol::{Role, WebSocketConfig},
    },
};

use super::{counted::Counted, opening::SUBPROTOCOL};
use crate::headers::has_word;

/// A WebSocket on the server's side.
pub(super) type Socket = WebSocketStream<Counted<TokioIo<Upgraded>>>;

/// The only version (RFC 6455).
const VERSION: &str = "13";
/// The number of bytes of a decoded key.
const KEY_BYTES: usize = 16;
/// Some clients use random letters as keys; the last letter then has more bits than it should.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));
/// The methods of the path. HEAD gets the answer of a GET without an upgrade.
const ALLOWED: &str = "GET, HEAD, OPTIONS";

/// A valid WebSocket handshake.
#[derive(Debug)]
pub struct Handshake {
    accept: String,
    upgrade: OnUpgrade,
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

impl Handshake {
    /// Reads the request of the client.
    pub fn read(parts: &mut Parts) -> Result<Self, Unfit> {
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
        Ok(Self { accept, upgrade })
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
        let Self { accept, upgrade } = self;
        tokio::spawn(async move {
            match upgrade.await {
                Ok(upgraded) => {
                    let stream = Counted::new(TokioIo::new(upgraded));
                    then(Socket::from_raw_socket(stream, Role::Server, Some(config)).await).await;
                }
                Err(error) => tracing::debug!(%error, "a client went away during its upgrade"),
            }
        });
        let headers = [
            (header::CONNECTION, HeaderValue::from_static("Upgrade")),
            (header::UPGRADE, HeaderValue::from_static("websocket")),
        ];
        let mut response = (StatusCode::SWITCHING_PROTOCOLS, headers, Body::empty()).into_response();
        if subprotocol {
            let name = HeaderValue::from_static(SUBPROTOCOL);
            response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, name);
        }
        if let Ok(accept) = HeaderValue::from_str(&accept) {
            response.headers_mut().insert(header::SEC_WEBSOCKET_ACCEPT, accept);
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
            Self::Key => StatusCode::BAD_REQUEST,
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
            Self::Key => {}
        }
        response
    }
}
