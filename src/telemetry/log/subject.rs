use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::{Map, Value};
use tokio::{task::futures::TaskLocalFuture, task_local};
use uuid::Uuid;

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
    pub(super) fn complete(fields: &mut Map<String, Value>) {
        // Outside of such a task there is nothing to add.
        let _ = CURRENT.try_with(|subject| subject.fill(fields));
    }

    fn fill(&self, fields: &mut Map<String, Value>) {
        let mut add = |key: &str, value: &dyn ToString| {
            fields.entry(key).or_insert_with(|| Value::String(value.to_string()));
        };
        if !self.conn.0.is_nil() {
            add("conn", &self.conn);
        }
        match &self.request {
            Some(request) => add("reqId", request),
            None => add("reqId", &self.conn),
        }
        if let Some((room, user)) = &*self.seat.lock().unwrap_or_else(PoisonError::into_inner) {
            add("room", room);
            add("user", user);
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
            let mut fields = Map::new();
            fields.insert("user".to_owned(), "somebody else".into());
            Subject::complete(&mut fields);
            Value::Object(fields)
        };
        let found = subject.scope(line()).await;
        assert_eq!(found, serde_json::json!({"conn": conn.to_string(), "reqId": "edge-7", "user": "somebody else"}));
        subject.sit(&RoomId::parse("lounge").unwrap(), &UserId::parse("ada").unwrap());
        assert_eq!(subject.scope(line()).await["room"], "lounge");
        assert_eq!(line().await, serde_json::json!({"user": "somebody else"}));
        let unnamed = Subject::socket(conn, None);
        assert_eq!(unnamed.scope(line()).await["reqId"], conn.to_string());
    }

    #[test]
    fn it_costs_a_socket_less_than_a_hundred_bytes() {
        // With the two counters of the Arc. The pointers of the task and of the speaker take the place of the speaker's own connection id.
        assert!(size_of::<Subject>() + 2 * size_of::<usize>() <= 96, "{}", size_of::<Subject>());
    }
}
