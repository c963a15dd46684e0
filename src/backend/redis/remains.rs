//! What Redis has of a person: in rooms, in inboxes, and in entries of the ledger that wait for a worker.

use redis::{RedisError, Value};

use super::{connection::RedisConnection, connector::Connector, layout::Layout, queue::GROUP, reply::read_list};
use crate::{
    backend::{
        QueuedEntry,
        records::{Codec, Fields, NEWEST},
    },
    id::RoomId,
    ledger::Person,
};

/// The number of entries that are read at once.
const PAGE: usize = 500;

/// What an open room has of a person.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// They have a seat, even if they are away.
    pub seated: bool,
    /// The room names them otherwise: as a former host, among those who were thrown out, or as who moved the film last.
    pub named: bool,
}

/// Searches Redis for a person.
#[derive(Debug)]
pub struct Remains {
    connection: RedisConnection,
    layout: Layout,
    codec: Codec,
}

impl Remains {
    /// Connects to the deployment.
    pub async fn connect(connector: &Connector, layout: Layout) -> Result<Self, RedisError> {
        Ok(Self { connection: connector.connect(|_| {}).await?, layout, codec: Codec::new(NEWEST) })
    }

    /// What an open room has of a person.
    pub async fn standing(&mut self, room: &RoomId, person: &Person) -> Result<Standing, RedisError> {
        let fields: Fields =
            redis::cmd("HGETALL").arg(self.layout.room(room)).query_async(&mut self.connection).await?;
        let named = fields.values().any(|value| person.is_in_bytes(value));
        let seated = match self.codec.decode_room(room, &fields) {
            Ok(room) => room.members.contains_key(&person.user),
            // Nobody can be in a room that no node can read, but it may be mended.
            Err(_) => named,
        };
        Ok(Standing { seated, named })
    }

    /// Removes what Redis keeps of a room for those who come back, where it names a person: their inbox, and the last updates. Returns the
    /// number of keys.
    pub async fn clear(&mut self, room: &RoomId, person: &Person) -> Result<u64, RedisError> {
        let (inbox, history) = (self.layout.inbox(room, &person.user), self.layout.history(room));
        let mut keys = vec![inbox];
        let updates: Vec<Vec<u8>> =
            redis::cmd("LRANGE").arg(&history).arg(0).arg(-1).query_async(&mut self.connection).await?;
        if updates.iter().any(|update| person.is_in_bytes(update)) {
            keys.push(history);
        }
        redis::cmd("DEL").arg(keys).query_async(&mut self.connection).await
    }

    /// The entries that wait for a worker and name a person.
    pub async fn waiting(&mut self, person: &Person) -> Result<Vec<QueuedEntry>, RedisError> {
        let mut found = Vec::new();
        for partition in 0..self.layout.partitions() {
            let mut from = "-".to_owned();
            loop {
                let mut range = redis::cmd("XRANGE");
                range.arg(self.layout.events(partition)).arg(&from).arg("+").arg("COUNT").arg(PAGE);
                let entries = read_list(partition, range.query_async::<Value>(&mut self.connection).await?);
                let Some(last) = entries.last() else { break };
                from = format!("({}", last.id);
                let names = |entry: &QueuedEntry| entry.text.as_deref().is_some_and(|text| person.is_in_bytes(text));
                found.extend(entries.into_iter().filter(names));
            }
        }
        Ok(found)
    }

    /// Removes an entry, also from the hands of the worker that has claimed it.
    pub async fn remove(&mut self, entry: &QueuedEntry) -> Result<(), RedisError> {
        let stream = self.layout.events(entry.partition);
        let mut pipe = redis::pipe();
        pipe.cmd("XACK").arg(&stream).arg(GROUP).arg(&entry.id).ignore();
        pipe.cmd("XDEL").arg(&stream).arg(&entry.id).ignore();
        pipe.query_async(&mut self.connection).await
    }
}
