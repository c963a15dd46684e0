use std::{sync::Arc, time::Duration};

use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use tokio::{task::unconstrained, time::timeout};
use tokio_tungstenite::tungstenite::{self, Message, error::ProtocolError, protocol::CloseFrame};

use super::{client_session::ClientSession, transport::Transport, upgrade::Gateway};
use crate::{
    protocol::{Close, Code, Received, ServerFrame, ServerFrameType, decode, encode},
    telemetry::PeerDisconnect,
};

/// Maximum number of frames that are read after the close frame was sent, until the peer's close frame arrives.
const LAST_FRAMES: usize = 1_000;
/// Deadline for the last frames to a peer.
const FAREWELL: Duration = Duration::from_secs(2);

/// Why a connection is over.
pub(super) enum End {
    /// The connection ended without a close frame.
    Gone,
    /// The peer sent a close frame.
    Closed,
    /// This side closes the connection.
    Close(Close),
    /// The peer has violated RFC 6455, so nothing more of it can be read.
    Broken(Close),
}

/// Ends a connection. The seat is given up at once: a peer that is slow to close must not look present.
pub(super) async fn part(mut socket: impl Transport, session: ClientSession, end: End) {
    let is_broken = matches!(end, End::Broken(_));
    let close = match end {
        End::Close(close) | End::Broken(close) => close,
        End::Closed => {
            session.gateway.metrics.peer_disconnects.inc(PeerDisconnect::Closed);
            tracing::info!(by = "client", "closed");
            // The library has queued the answer to the peer's close frame.
            let farewell = async move { socket.flush().await };
            let _ = tokio::join!(timeout(FAREWELL, farewell), session.depart());
            return;
        }
        End::Gone => {
            drop(socket);
            session.gateway.metrics.peer_disconnects.inc(PeerDisconnect::Gone);
            tracing::info!(by = "network", reason = "gone without a close frame", "closed");
            return session.depart().await;
        }
    };
    let gateway = Arc::clone(&session.gateway);
    gateway.metrics.closes.inc(close);
    tracing::info!(by = "server", code = close.code(), reason = close.reason(), "closed");
    let frame = CloseFrame { code: close.code().into(), reason: close.reason().into() };
    // It has the socket, which closes with it: a seat may be given up later.
    let farewell = async move {
        let told = answer_the_rest(&mut socket, &gateway, close).await.is_ok()
            && socket.send(Message::Close(Some(frame))).await.is_ok();
        if is_broken {
            // The library has queued the answer to a close frame with an invalid code, too.
            if !told {
                let _ = socket.flush().await;
            }
            socket.discard().await;
        } else if told {
            // Reads what the peer sent before it knew of the close, within a bound. It cannot be answered any more.
            for _ in 0..LAST_FRAMES {
                match socket.next().await {
                    Some(Ok(Message::Text(_))) => gateway.metrics.received.inc(Received::Dropped),
                    Some(Ok(_)) => {}
                    _ => break,
                }
            }
        }
    };
    let (_, ()) = tokio::join!(timeout(FAREWELL, farewell), session.depart());
}

/// Answers frames with an `id` that have already arrived, because nothing can be sent after a close frame.
async fn answer_the_rest(
    socket: &mut impl Transport,
    gateway: &Gateway,
    close: Close,
) -> Result<(), tungstenite::Error> {
    let code = match close {
        Close::Left | Close::Kicked | Close::SeatLost | Close::NeverJoined => Code::NotJoined,
        Close::InvalidToken | Close::NotAllowed | Close::TokenRevoked | Close::TokenExpired => Code::Unauthorized,
        Close::RateLimited | Close::AddressLimit => Code::RateLimited,
        Close::Draining | Close::TryLater => Code::Unavailable,
        // Such a socket cannot be read, or its peer does not read.
        Close::TooLarge
        | Close::Protocol
        | Close::NotUtf8
        | Close::UnfinishedMessage
        | Close::SlowConsumer
        | Close::HeartbeatLost
        | Close::Internal => return Ok(()),
    };
    for _ in 0..LAST_FRAMES {
        let Some(Some(Ok(frame))) = unconstrained(socket.next()).now_or_never() else { break };
        let Message::Text(text) = frame else { continue };
        gateway.metrics.received.inc(Received::Dropped);
        let id = decode(&text).map_or_else(|error| error.id, |inbound| inbound.id);
        if id.is_none() {
            continue;
        }
        gateway.metrics.errors.inc(code);
        gateway.metrics.sent.inc(ServerFrameType::Error);
        let (retryable, id) = (code.retryable(), id.as_ref());
        let error = ServerFrame::Error { code, message: close.reason(), retryable, retry_after_ms: None, id };
        socket.feed(encode(&error).into()).await?;
    }
    Ok(())
}

/// The end of a connection that can no longer be read, with the close code of RFC 6455 for the violation.
pub(super) fn broken(error: &tungstenite::Error) -> End {
    let close = match error {
        tungstenite::Error::Capacity(_) => Close::TooLarge,
        tungstenite::Error::Utf8(_) => Close::NotUtf8,
        tungstenite::Error::Protocol(
            ProtocolError::ResetWithoutClosingHandshake
            | ProtocolError::ReceivedAfterClosing
            | ProtocolError::SendAfterClosing,
        ) => return End::Gone,
        tungstenite::Error::Protocol(_) => Close::Protocol,
        _ => return End::Gone,
    };
    tracing::info!(fault = %error, "the client broke RFC 6455");
    End::Broken(close)
}
