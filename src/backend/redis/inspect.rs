//! What a key holds, as JSON for people.

use redis::{RedisError, Value, from_redis_value};
use serde_json::{Value as Json, json};

use super::{connection::RedisConnection, connector::Connector, layout::Layout, reply::read_list};
use crate::{
    backend::records::{Codec, Fields, NEWEST, RecordError},
    id::RoomId,
};

/// Why a key cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// Redis or the client library returned an error.
    #[error("{0}")]
    Redis(#[from] RedisError),
    /// The answer of Redis has another type than the key.
    #[error("{0}")]
    Answer(#[from] redis::ParsingError),
    /// The record cannot be decoded.
    #[error("{0}")]
    Record(#[from] RecordError),
    /// There is no such key.
    #[error("Redis has no key {0}")]
    Missing(String),
}

/// Shows keys of a deployment.
#[derive(Debug)]
pub struct Inspector {
    connection: RedisConnection,
    layout: Layout,
    /// Maximum number of elements of a list, a set or a stream.
    limit: usize,
    codec: Codec,
}

impl Inspector {
    /// Connects to the deployment.
    pub async fn connect(connector: &Connector, layout: Layout, limit: usize) -> Result<Self, InspectError> {
        Ok(Self { connection: connector.connect(|_| {}).await?, layout, limit, codec: Codec::new(NEWEST) })
    }

    /// The content of a key.
    pub async fn key(&mut self, key: &str) -> Result<Json, InspectError> {
        let kind: String = redis::cmd("TYPE").arg(key).query_async(&mut self.connection).await?;
        let last = self.limit.saturating_sub(1);
        let mut command = redis::Cmd::new();
        match kind.as_str() {
            "none" => return Err(InspectError::Missing(key.to_owned())),
            "hash" => command.arg("HGETALL").arg(key),
            "list" => command.arg("LRANGE").arg(key).arg(0).arg(last),
            "stream" => command.arg("XRANGE").arg(key).arg("-").arg("+").arg("COUNT").arg(self.limit),
            "set" => command.arg("SSCAN").arg(key).arg(0).arg("COUNT").arg(self.limit),
            "zset" => command.arg("ZRANGE").arg(key).arg(0).arg(last).arg("WITHSCORES"),
            _ => command.arg("GET").arg(key),
        };
        let answer: Value = command.query_async(&mut self.connection).await?;
        match (self.layout.kind_of(key), kind.as_str()) {
            (Some(("room", room)), "hash") => self.room(room, &from_redis_value(answer)?),
            (Some(("history", room)), "list") => self.updates(room, &from_redis_value::<Vec<Vec<u8>>>(answer)?),
            (Some(("events", _)), "stream") => Ok(entries(answer)),
            _ => Ok(plain(&answer)),
        }
    }

    fn room(&self, room: &str, fields: &Fields) -> Result<Json, InspectError> {
        let id = RoomId::parse(room).map_err(|_| RecordError::Position)?;
        Ok(json!(self.codec.decode_room(&id, fields)?))
    }

    fn updates(&self, room: &str, records: &[Vec<u8>]) -> Result<Json, InspectError> {
        let id = RoomId::parse(room).map_err(|_| RecordError::Position)?;
        let updates: Result<Vec<_>, _> = records.iter().map(|record| self.codec.decode_update(&id, record)).collect();
        Ok(json!(updates?))
    }
}

fn entries(answer: Value) -> Json {
    let entries = read_list(0, answer).into_iter().map(|queued| {
        let entry = match queued.entry() {
            Some(Ok(entry)) => json!(entry),
            Some(Err(error)) => json!({ "unreadable": error.to_string() }),
            None => Json::Null,
        };
        json!({ "id": queued.id, "entry": entry })
    });
    entries.collect()
}

/// An answer without records.
fn plain(answer: &Value) -> Json {
    match answer {
        Value::Int(number) => json!(number),
        Value::Double(number) => json!(number),
        Value::Boolean(truth) => json!(truth),
        Value::BulkString(bytes) => json!(String::from_utf8_lossy(bytes)),
        Value::SimpleString(text) => json!(text),
        Value::Array(items) | Value::Set(items) => items.iter().map(plain).collect(),
        Value::Map(pairs) => Json::Object(
            pairs
                .iter()
                .map(|(name, value)| (plain(name).as_str().unwrap_or_default().to_owned(), plain(value)))
                .collect(),
        ),
        _ => Json::Null,
    }
}
