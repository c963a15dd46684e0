//! As much of the protocol of Socket.IO 4 as its clients speak here, over a WebSocket only.

use crate::target::Target;

/// Opens the namespace that everything happens in.
pub(crate) const CONNECT: &str = "40";

/// The server asks whether the client lives.
pub(crate) const PING: &str = "2";

/// It does.
pub(crate) const PONG: &str = "3";

/// How the answer to [`join`] begins.
pub(crate) const JOINED: &str = "430[";

/// How the news of somebody else who has joined begins.
pub(crate) const NEWCOMER: &str = r#"42["user joined""#;

/// Where its WebSockets are.
pub(crate) fn url(target: &Target) -> String {
    format!("ws://{}/socket.io/?EIO=4&transport=websocket", target.address())
}

/// Asks to be let into a room, and for an answer.
pub(crate) fn join(room: &str) -> String {
    format!(r#"420["join","{room}"]"#)
}

/// A message, as an event.
pub(crate) fn wrap(message: &str) -> String {
    format!(r#"42["m",{message}]"#)
}

/// A message for the socket that its field `to` names.
pub(crate) fn direct(message: &str) -> String {
    format!(r#"42["signal",{message}]"#)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_become_events() {
        assert_eq!(wrap(r#"{"a":1}"#), r#"42["m",{"a":1}]"#);
        assert_eq!(direct(r#"{"to":"x"}"#), r#"42["signal",{"to":"x"}]"#);
        let target: Target = "ws://127.0.0.1:9/ws".parse().unwrap();
        assert_eq!(url(&target), "ws://127.0.0.1:9/socket.io/?EIO=4&transport=websocket");
    }
}
