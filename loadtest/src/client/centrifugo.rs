//! The part of Centrifugo's client protocol (version 2, JSON) that the clients here need, over WebSocket only.

use super::scan;

pub(crate) const PATH: &str = "connection/websocket";

/// The ping of the server: an empty command.
pub(crate) const PING: &str = "{}";

pub(crate) const PONG: &str = "{}";

/// Connects and subscribes to a room: two commands in one frame.
pub(crate) fn enter(room: &str) -> String {
    format!("{{\"id\":1,\"connect\":{{}}}}\n{}", subscribe(room))
}

/// Subscribes to a channel. Replies are recognised by their content, so all subscriptions may have the same id.
pub(crate) fn subscribe(channel: &str) -> String {
    format!(r#"{{"id":2,"subscribe":{{"channel":"{channel}"}}}}"#)
}

pub(crate) fn publish(channel: &str, message: &str) -> String {
    format!(r#"{{"id":3,"publish":{{"channel":"{channel}","data":{message}}}}}"#)
}

/// The replies and pushes of one frame.
pub(crate) fn replies(frame: &str) -> impl Iterator<Item = &str> {
    frame.split('\n').filter(|line| !line.is_empty())
}

/// The id of the connection, in the reply to `connect`.
pub(crate) fn session(reply: &str) -> Option<String> {
    let is_hello = !is_push(reply) && reply.contains(r#""connect":"#);
    scan::text(reply, "\"client\":").filter(|_| is_hello).map(str::to_owned)
}

pub(crate) fn is_subscribed(reply: &str) -> bool {
    !is_push(reply) && reply.contains(r#""subscribe":"#)
}

pub(crate) fn is_error(reply: &str) -> bool {
    !is_push(reply) && reply.contains(r#""error":"#)
}

/// The connection that has joined, in a push that announces it.
pub(crate) fn joined(reply: &str) -> Option<&str> {
    let is_join = is_push(reply) && reply.contains(r#""join":"#);
    scan::text(reply, "\"client\":").filter(|_| is_join)
}

fn is_push(reply: &str) -> bool {
    reply.starts_with(r#"{"push":"#)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_told_from_pushes() {
        let connected = r#"{"id":1,"connect":{"client":"c1","version":"6","ping":25}}"#;
        let join = r#"{"push":{"channel":"room","join":{"info":{"user":"","client":"c2"}}}}"#;
        let publication =
            r#"{"push":{"channel":"room","pub":{"data":{"type":"ERROR","error":"no","subscribe":"no"}}}}"#;
        assert_eq!(session(connected).as_deref(), Some("c1"));
        assert_eq!((session(join), joined(join), joined(connected)), (None, Some("c2"), None));
        assert!(is_subscribed(r#"{"id":2,"subscribe":{}}"#) && !is_subscribed(publication));
        assert!(is_error(r#"{"id":2,"error":{"code":103}}"#) && !is_error(publication));
        assert_eq!(replies("{\"id\":1}\n{}\n").collect::<Vec<_>>(), ["{\"id\":1}", PING]);
    }
}
