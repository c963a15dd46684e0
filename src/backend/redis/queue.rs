//! The worker's end of the ledger's queue: a consumer of the streams of all partitions.

use std::{sync::LazyLock, time::Duration};

use async_trait::async_trait;
use futures_util::future::join_all;
use redis::{RedisError, Script, Value};

use super::{
    answer::translate,
    clock::clock_script,
    connector::{Connector, Wire},
    layout::Layout,
    reply::{read_list, read_reply},
};
use crate::{
    backend::{BackendError, LedgerQueue, QueueLevel, QueueReading, QueuedEntry},
    clock::{self, Millis},
};

/// Where a stream begins.
const START: &str = "0-0";
/// The consumer group that all workers are in.
const GROUP: &str = "ledger";

/// In one step: between looking and deleting a consumer could be given entries, which nobody would ever be given again.
static DELETE_DEAD: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local gone = 0
         for _, fields in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
             local consumer = {}
             for i = 1, #fields, 2 do consumer[fields[i]] = fields[i + 1] end
             if consumer.pending == 0 and consumer.idle > tonumber(ARGV[2]) then
                 redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], consumer.name)
                 gone = gone + 1
             end
         end
         return gone",
    )
});

/// Also in a Redis that is full: without the group nobody could make room.
static MAKE_GROUP: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "#!lua flags=allow-oom
         local made = redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
         if made.err and string.sub(made.err, 1, 9) ~= 'BUSYGROUP' then
             return made
         end
         return redis.status_reply('OK')",
    )
});

/// The streams of all partitions, as one worker sees them.
pub struct RedisQueue {
    connector: Connector,
    layout: Layout,
    consumer: String,
    wire: Option<Wire>,
    parts: Vec<Part>,
    /// Entries that should come at once, of all partitions.
    batch: usize,
}

#[derive(Debug, Clone)]
struct Part {
    number: u16,
    /// Beyond which id there may be entries that were given to us, and that we do not have in hand.
    owed: Option<String>,
    /// Whether it had something, last time.
    busy: bool,
    /// Where looking for what others have left begins next time.
    cursor: String,
}

impl std::fmt::Debug for RedisQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisQueue").field("consumer", &self.consumer).finish_non_exhaustive()
    }
}

impl RedisQueue {
    /// For the worker `consumer`. Connects to nothing yet; `batch` entries should come at once, of all partitions.
    pub fn new(connector: Connector, layout: Layout, consumer: String, batch: usize) -> Self {
        let part = |number| Part { number, owed: Some(START.to_owned()), busy: true, cursor: START.to_owned() };
        let parts = (0..layout.partitions()).map(part).collect();
        Self { connector, layout, consumer, wire: None, parts, batch }
    }

    /// The connection. A new one is owed whatever the old one was given and did not hand on.
    async fn wire(&mut self) -> Result<Wire, BackendError> {
        if let Some(wire) = &self.wire {
            return Ok(wire.clone());
        }
        let wire = self.connector.connect(|_| {}).await.map_err(|error| self.at(&error))?;
        for part in &mut self.parts {
            part.owed = Some(START.to_owned());
        }
        Ok(self.wire.insert(wire).clone())
    }

    /// The same, with the group of the workers in each stream.
    async fn wire_with_groups(&mut self) -> Result<Wire, BackendError> {
        let is_new = self.wire.is_none();
        let wire = self.wire().await?;
        if is_new {
            let made = self.parts.iter().map(|part| make_group(wire.clone(), self.layout.events(part.number)));
            let outcome = all(join_all(made).await);
            self.reset_on_error(outcome)?;
        }
        Ok(wire)
    }

    fn at(&self, error: &RedisError) -> BackendError {
        match translate(error) {
            BackendError::Unreachable(why) => BackendError::Unreachable(format!("{}: {why}", self.connector.at())),
            other => other,
        }
    }

    fn reset_on_error<T>(&mut self, outcome: Result<T, RedisError>) -> Result<T, BackendError> {
        if outcome.is_err() {
            // Whatever it was, a fresh connection is as good as any cure.
            self.wire = None;
        }
        outcome.map_err(|error| self.at(&error))
    }

    /// Whether the nodes write to as many partitions as this worker reads.
    async fn fits(&mut self, mut wire: Wire) -> Result<bool, BackendError> {
        let common = redis::cmd("GET").arg(self.layout.deployment()).query_async::<Option<String>>(&mut wire).await;
        let common = self.reset_on_error(common)?;
        Ok(common.is_none_or(|common| self.layout.fits(&common).is_some()))
    }

    async fn now(&self, mut wire: Wire) -> Millis {
        match clock_script().key(self.layout.deployment()).invoke_async::<Millis>(&mut wire).await {
            Ok(micros) => micros / 1_000,
            Err(error) => {
                // The clock of this machine may be wrong, but is better than none.
                tracing::debug!(%error, "Redis does not say what time it is");
                clock::system()
            }
        }
    }
}

#[async_trait]
impl LedgerQueue for RedisQueue {
    fn partitions(&self) -> u16 {
        self.layout.partitions()
    }

    fn name_of(&self, partition: u16) -> String {
        self.layout.events(partition)
    }

    async fn read(&mut self) -> Result<QueueReading, BackendError> {
        let wire = self.wire_with_groups().await?;
        let busy = self.parts.iter().filter(|part| part.busy).count().max(1);
        let count = self.batch.div_ceil(busy);
        let reads = self.parts.iter().map(|part| {
            let (mut wire, stream) = (wire.clone(), self.layout.events(part.number));
            let (number, from) = (part.number, part.owed.as_deref().unwrap_or(">"));
            let mut command = redis::cmd("XREADGROUP");
            command.arg("GROUP").arg(GROUP).arg(&self.consumer).arg("COUNT").arg(count);
            command.arg("STREAMS").arg(&stream).arg(from);
            async move {
                match command.query_async::<Value>(&mut wire).await {
                    Err(error) if error.code() == Some("NOGROUP") => {
                        tracing::warn!(%stream, "Redis has lost the consumer group of the workers; it was created again");
                        make_group(wire, stream).await.map(|()| Vec::new())
                    }
                    reply => reply.map(|reply| read_reply(number, reply)),
                }
            }
        });
        let outcome = all(join_all(reads).await);
        let lists = self.reset_on_error(outcome)?;
        let more = lists.iter().any(|list| list.len() >= count);
        for (part, list) in self.parts.iter_mut().zip(&lists) {
            part.busy = !list.is_empty();
            // What stays in Redis for another time is not read again and again.
            part.owed = part.owed.take().and_then(|_| list.last().map(|last| last.id.clone()));
        }
        Ok(QueueReading { entries: lists.into_iter().flatten().collect(), more })
    }

    async fn take_over(&mut self, idle: Duration) -> Result<Vec<QueuedEntry>, BackendError> {
        let wire = self.wire_with_groups().await?;
        let count = self.batch.div_ceil(self.parts.len().max(1));
        let claims = self.parts.iter().map(|part| {
            let mut wire = wire.clone();
            let mut command = redis::cmd("XAUTOCLAIM");
            command
                .arg(self.layout.events(part.number))
                .arg(GROUP)
                .arg(&self.consumer)
                .arg(idle.as_millis().to_string());
            command.arg(&part.cursor).arg("COUNT").arg(count);
            async move {
                match command.query_async::<(String, Value, Value)>(&mut wire).await {
                    // The next read makes it anew.
                    Err(error) if error.code() == Some("NOGROUP") => Ok((START.to_owned(), Value::Nil, Value::Nil)),
                    reply => reply,
                }
            }
        });
        let outcome = all(join_all(claims).await);
        let replies = self.reset_on_error(outcome)?;
        let mut taken = Vec::new();
        for (part, (cursor, list, _)) in self.parts.iter_mut().zip(replies) {
            part.cursor = cursor;
            taken.extend(read_list(part.number, list));
        }
        Ok(taken)
    }

    async fn acknowledge(&mut self, entries: &[&QueuedEntry]) -> Result<(), BackendError> {
        let wire = self.wire_with_groups().await?;
        let of =
            |part: &Part| entries.iter().filter(|it| it.partition == part.number).map(|it| it.id.as_str()).collect();
        let ids = self.parts.iter().map(|part| (self.layout.events(part.number), of(part)));
        let acks = ids.filter(|(_, ids): &(_, Vec<&str>)| !ids.is_empty()).map(|(stream, ids)| {
            let mut wire = wire.clone();
            let mut both = redis::pipe();
            // Not in a transaction: a Redis that is full refuses those, and only this makes room. In this order: what is acknowledged
            // but not deleted would lie there for ever, what is deleted but not acknowledged is so the next time.
            both.cmd("XDEL").arg(&stream).arg(&ids).ignore();
            both.cmd("XACK").arg(&stream).arg(GROUP).arg(&ids).ignore();
            async move { both.query_async::<()>(&mut wire).await }
        });
        let outcome = all(join_all(acks).await);
        self.reset_on_error(outcome).map(drop)
    }

    async fn level(&mut self) -> Result<Option<QueueLevel>, BackendError> {
        let wire = self.wire().await?;
        if !self.fits(wire.clone()).await? {
            return Ok(None);
        }
        let now = self.now(wire.clone()).await;
        let looks = (0..self.layout.partitions()).map(|partition| {
            let (mut wire, stream) = (wire.clone(), self.layout.events(partition));
            async move {
                let mut both = redis::pipe();
                both.cmd("XLEN").arg(&stream);
                both.cmd("XRANGE").arg(&stream).arg("-").arg("+").arg("COUNT").arg(1);
                let (length, first) = both.query_async::<(usize, Value)>(&mut wire).await?;
                let first = read_list(partition, first).into_iter().next();
                Ok((length, first.and_then(|entry| entry.id.split('-').next()?.parse().ok())))
            }
        });
        let outcome = all(join_all(looks).await);
        Ok(Some(QueueLevel { partitions: self.reset_on_error(outcome)?, now }))
    }

    async fn forget_workers(&mut self, idle: Duration) -> Result<u64, BackendError> {
        let wire = self.wire().await?;
        let deletes = (0..self.layout.partitions()).map(|partition| {
            let (mut wire, stream) = (wire.clone(), self.layout.events(partition));
            async move { delete_dead(&mut wire, &stream, idle).await }
        });
        let outcome = all(join_all(deletes).await);
        Ok(self.reset_on_error(outcome)?.into_iter().max().unwrap_or_default())
    }
}

/// Deletes consumers of a partition that have nothing in hand and have not been heard of for `idle`. How many.
async fn delete_dead(wire: &mut Wire, stream: &str, idle: Duration) -> Result<u64, RedisError> {
    let idle = idle.as_millis().to_string();
    match DELETE_DEAD.key(stream).arg(GROUP).arg(idle).invoke_async(wire).await {
        // There is no stream, or no group.
        Err(error) if error.kind() == redis::ErrorKind::Server(redis::ServerErrorKind::ResponseError) => Ok(0),
        outcome => outcome,
    }
}

/// From the very first entry on.
async fn make_group(mut wire: Wire, stream: String) -> Result<(), RedisError> {
    MAKE_GROUP.key(stream).arg(GROUP).invoke_async(&mut wire).await
}

fn all<T>(outcomes: Vec<Result<T, RedisError>>) -> Result<Vec<T>, RedisError> {
    outcomes.into_iter().collect()
}
