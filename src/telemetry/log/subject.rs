use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{task::futures::TaskLocalFuture, task_local};
use uuid::Uuid;

use super::fields::Fields;
use crate::id::{ConnId, RoomId, UserId};

task_local! {
    static CURRENT: Arc<Subject>;
}

/// The ids that every log line of a task carries. There is one for each connection, and it is read only when there is a line to write; spans
/// would keep a map for each socket.
#[derive(Debug)]
pub struct Subject {
    /// The id of the HTTP request, if its sender gave one.
    request: Option<Box<str>>,
    /// Nil for a plain HTTP request. Not an `Option`: every socket has one of these.
    conn: ConnId,
    seat: Mutex<Option<(RoomId, UserId)>>,
}

impl Subject {
    /// A WebSocket. Without a request id of its own its connection id serves as one.
    pub fn socket(conn: ConnId, request: Option<Box<str>>) -> Arc<Self> {
        Arc::new(Self { request, conn, seat: Mutex::default() })
    }

    /// A plain HTTP request.
    pub fn request(id: Box<str>) -> Arc<Self> {
        Arc::new(Self { request: Some(id), conn: ConnId(Uuid::nil()), seat: Mutex::default() })
    }

    /// The connection.
    pub fn conn(&self) -> ConnId {
        self.conn
    }

    /// The room that was named last.
    pub fn room(&self) -> Option<RoomId> {
        let seat = self.seat.lock().unwrap_or_else(PoisonError::into_inner);
        seat.as_ref().map(|(room, _)| room.clone())
    }

    /// Names the room and the user from now on.
    pub fn sit(&self, room: &RoomId, user: &UserId) {
        *self.seat.lock().unwrap_or_else(PoisonError::into_inner) = Some((room.clone(), user.clone()));
    }

    /// Runs `work` with this subject.
    pub fn scope<F: Future>(self: &Arc<Self>, work: F) -> TaskLocalFuture<Arc<Self>, F> {
        CURRENT.scope(Arc::clone(self), work)
    }

    /// Adds the ids of the running task to a line, except those that the line names itself.
    pub(super) fn complete(fields: &mut Fields<'_>) {
        // Outside of such a task there is nothing to add.
        let _ = CURRENT.try_with(|subject| subject.fill(fields));
    }

    fn fill(&self, fields: &mut Fields<'_>) {
        let mut buffer = Uuid::encode_buffer();
        let conn: &str = self.conn.0.hyphenated().encode_lower(&mut buffer);
        if !self.conn.0.is_nil() {
            fields.add("conn", conn);
        }
        fields.add("reqId", self.request.as_deref().unwrap_or(conn));
        if let Some((room, user)) = &*self.seat.lock().unwrap_or_else(PoisonError::into_inner) {
            fields.add("room", room.as_str());
            fields.add("user", user.as_str());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_line_carries_the_ids_of_its_task_and_keeps_its_own() {
        let conn = ConnId::random();
        let subject = Subject::socket(conn, Some("edge-7".into()));
        let line = || async {
            let mut fields = Fields::default();
            fields.set("user", "somebody else");
            Subject::complete(&mut fields);
            fields
        };
        let found = subject.scope(line()).await;
        let texts: Vec<_> = found.iter().map(|(key, json)| (key, json.trim_matches('"'))).collect();
        assert_eq!(texts, [("user", "somebody else"), ("conn", &conn.to_string()), ("reqId", "edge-7")]);
        subject.sit(&RoomId::parse("lounge").unwrap(), &UserId::parse("ada").unwrap());
        assert_eq!(subject.scope(line()).await.text("room").unwrap(), "lounge");
        assert_eq!(line().await.iter().count(), 1);
        let unnamed = Subject::socket(conn, None);
        assert_eq!(unnamed.scope(line()).await.text("reqId").unwrap(), conn.to_string());
    }

    #[test]
    fn it_costs_a_socket_less_than_a_hundred_bytes() {
        // With the two counters of the Arc. The pointers of the task and of the speaker take the place of the speaker's own connection id.
        assert!(size_of::<Subject>() + 2 * size_of::<usize>() <= 96, "{}", size_of::<Subject>());
    }
}
