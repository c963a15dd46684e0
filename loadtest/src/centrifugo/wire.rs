//! As much of the client protocol of Centrifugo (version 2 of it, as JSON) as its clients speak here, over a WebSocket only. Written from
//! its documentation; it was never run against Centrifugo itself.

use crate::{scan, target::Target};

/// The server asks whether the client lives: a command with nothing in it.
pub(crate) const PING: &str = "{}";

/// It does.
pub(crate) const PONG: &str = "{}";

/// Where its WebSockets are.
pub(crate) fn url(target: &Target) -> String {
    format!("ws://{}/connection/websocket", target.address())
}

/// Says hello and subscribes to a room: two commands in one frame.
pub(crate) fn enter(room: &str) -> String {
    format!("{{\"id\":1,\"connect\":{{}}}}\n{}", subscribe(room))
}

/// Subscribes to a channel. Replies are told apart by what is in them, so that all subscriptions may have the same number.
pub(crate) fn subscribe(channel: &str) -> String {
    format!(r#"{{"id":2,"subscribe":{{"channel":"{channel}"}}}}"#)
}

/// A message into a channel.
pub(crate) fn publish(channel: &str, message: &str) -> String {
    format!(r#"{{"id":3,"publish":{{"channel":"{channel}","data":{message}}}}}"#)
}

/// The replies and pushes of one frame.
pub(crate) fn replies(frame: &str) -> impl Iterator<Item = &str> {
    frame.split('\n').filter(|line| !line.is_empty())
}

/// What it calls the connection, in the reply to the first command.
pub(crate) fn session(reply: &str) -> Option<String> {
    let is_hello = !is_push(reply) && reply.contains(r#""connect":"#);
    scan::text(reply, "\"client\":").filter(|_| is_hello).map(str::to_owned)
}

/// Whether a subscription holds from now on.
pub(crate) fn is_subscribed(reply: &str) -> bool {
    !is_push(reply) && reply.contains(r#""subscribe":"#)
}

/// Whether a command was refused.
pub(crate) fn is_error(reply: &str) -> bool {
    !is_push(reply) && reply.contains(r#""error":"#)
}

/// The connection that has subscribed, in a push that says so.
pub(crate) fn joined(reply: &str) -> Option<&str> {
    let is_join = is_push(reply) && reply.contains(r#""join":"#);
    scan::text(reply, "\"client\":").filter(|_| is_join)
}

fn is_push(reply: &str) -> bool {
    reply.starts_with(r#"{"push":"#)
}
