//! The part of the Socket.IO 4 protocol that the clients here need, over WebSocket only.

use super::Target;

pub(crate) const CONNECT: &str = "40";

pub(crate) const PING: &str = "2";

pub(crate) const PONG: &str = "3";

pub(crate) const JOINED: &str = "430[";

/// How the announcement of a new member begins.
pub(crate) const NEWCOMER: &str = r#"42["user joined""#;

pub(crate) fn url(target: &Target) -> String {
    format!("ws://{}/socket.io/?EIO=4&transport=websocket", target.address())
}

/// Joins a room and asks for an acknowledgement.
pub(crate) fn join(room: &str) -> String {
    format!(r#"420["join","{room}"]"#)
}

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
