//! The part of the Socket.IO 4 protocol that the clients here need, over WebSocket only.

pub(crate) const PATH: &str = "socket.io/?EIO=4&transport=websocket";

pub(crate) const CONNECT: &str = "40";

pub(crate) const PING: &str = "2";

pub(crate) const PONG: &str = "3";

pub(crate) const JOINED: &str = "430[";

/// How the announcement of a new member begins.
pub(crate) const NEWCOMER: &str = r#"42["user joined""#;

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
