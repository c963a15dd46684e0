use std::time::Duration;

use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::{CloseFrame, frame::coding::CloseCode},
};

use super::{handshake::Socket, invitations::NotInvited, tokens::NotAdmitted};
use crate::{
    protocol::{Close, Code, ServerFrame, encode},
    telemetry::Refused,
};

/// When a refused client should ask again, in seconds. First-generation clients wait 1, 2, 4 ... 30 s by themselves.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("2");
/// How long a client may take to hear why its socket is closed.
const PATIENCE: Duration = Duration::from_secs(2);

/// Why a socket is not opened.
#[derive(Debug, Clone, Copy)]
pub(super) enum Refusal {
    /// There is no place for it, or its origin may not connect.
    Node(Refused),
    /// It has no token, or a wrong one.
    Token(NotAdmitted),
    /// The invitation in its URL opens no room.
    Invitation(NotInvited),
}

impl From<Refused> for Refusal {
    fn from(why: Refused) -> Self {
        Self::Node(why)
    }
}

impl From<NotAdmitted> for Refusal {
    fn from(why: NotAdmitted) -> Self {
        Self::Token(why)
    }
}

impl From<NotInvited> for Refusal {
    fn from(why: NotInvited) -> Self {
        Self::Invitation(why)
    }
}

impl Refusal {
    fn code(self) -> Code {
        match self {
            Self::Token(why) => why.code(),
            Self::Invitation(why) => why.code(),
            Self::Node(Refused::Origin) => Code::Forbidden,
            Self::Node(Refused::AddressShare | Refused::AddressCap) => Code::RateLimited,
            Self::Node(_) => Code::Unavailable,
        }
    }

    fn text(self) -> String {
        match self {
            Self::Token(why) => why.to_string(),
            Self::Invitation(why) => why.to_string(),
            Self::Node(why) => match why {
                Refused::Origin => "this origin may not connect",
                Refused::Draining => "this node is draining",
                Refused::Unavailable => "this node cannot reach shared state",
                Refused::Overloaded => "this node is overloaded",
                Refused::Crowded => "too many clients come to this node at the same time",
                Refused::AddressShare => "this address uses more than its share of this node",
                Refused::AddressCap => "too many connections from this address",
                Refused::Full | Refused::Handshake | Refused::Token | Refused::Invitation => "this node is full",
            }
            .to_owned(),
        }
    }

    /// The answer of HTTP.
    pub(super) fn answer(self) -> Response {
        let status = match self.code() {
            Code::Unauthorized => StatusCode::UNAUTHORIZED,
            Code::Forbidden => StatusCode::FORBIDDEN,
            Code::InvalidInvitation => StatusCode::NOT_FOUND,
            Code::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        let mut response = (status, format!("{}\n", self.text())).into_response();
        let mut add = |name: HeaderName, value| response.headers_mut().insert(name, value);
        match status {
            StatusCode::UNAUTHORIZED => {
                let challenge = if matches!(self, Self::Token(NotAdmitted::NoToken)) {
                    "Bearer realm=\"tandem\""
                } else {
                    "Bearer realm=\"tandem\", error=\"invalid_token\""
                };
                add(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
            }
            StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => {}
            _ => {
                add(header::RETRY_AFTER, RETRY_AFTER);
                // The connection goes, too: a node that is full needs its files for those who are inside.
                add(header::CONNECTION, HeaderValue::from_static("close"));
            }
        }
        response
    }

    /// How it is told by closing the socket, if it can be: a node that is full or stops opens none for that.
    pub(super) fn close(self) -> Option<Close> {
        match self {
            Self::Token(why) => why.close().or_else(|| (why.code() == Code::Forbidden).then_some(Close::NotAllowed)),
            Self::Invitation(why) => (why.code() == Code::InvalidInvitation).then_some(Close::NotAllowed),
            Self::Node(Refused::Origin) => Some(Close::NotAllowed),
            Self::Node(Refused::AddressShare | Refused::AddressCap) => Some(Close::AddressLimit),
            Self::Node(_) => None,
        }
    }

    /// Tells it to a socket that was opened for that alone.
    pub(super) async fn tell(self, mut socket: Socket, close: Close) {
        let code = self.code();
        let message = self.text();
        let error =
            ServerFrame::Error { code, message: &message, retryable: code.retryable(), retry_after_ms: None, id: None };
        let frame = CloseFrame { code: CloseCode::from(close.code()), reason: close.reason().into() };
        let _ = timeout(PATIENCE, async {
            socket.feed(encode(&error).into()).await?;
            socket.send(Message::Close(Some(frame))).await?;
            while let Some(Ok(_)) = socket.next().await {}
            Ok::<(), tokio_tungstenite::tungstenite::Error>(())
        })
        .await;
    }
}
