//! The worker's end of the ledger queue: a consumer of the streams of all partitions.

use std::{sync::LazyLock, time::Duration};

use async_trait::async_trait;
use futures_util::future::join_all;
use redis::{RedisError, Script, Value};

use super::{
    ack::{ACKNOWLEDGE, sorted},
    answer::translate,
    clock::clock_script,
    connection::RedisConnection,
    connector::Connector,
    layout::Layout,
    quota::limit,
    reply::{read_list, read_reply},
    weigh::{Weighed, weigh_script, weight},
};
use crate::{
    backend::{BackendError, LedgerQueue, QueueLevel, QueueReading, QueuedEntry},
    clock::{self, Millis},
    config::{RedisConfig, RedisMode},
};

/// The first id of a stream.
const START: &str = "0-0";
/// The consumer group of all workers.
pub(super) const GROUP: &str = "ledger";

/// Atomic, because a consumer could be given entries between the check and the deletion; these would never be delivered again.
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

static WEIGH: LazyLock<Script> = LazyLock::new(weigh_script);

/// Allowed even if Redis is full, because without the group no worker could free memory.
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

/// The consumer of one worker, in the streams of all partitions.
pub struct RedisQueue {
    connector: Connector,
    layout: Layout,
    consumer: String,
    connection: Option<RedisConnection>,
    parts: Vec<Part>,
    /// Entries to read at once, from all partitions.
    batch: usize,
    /// The bytes that may wait on each server, if the settings say it.
    quota: Option<u64>,
    cluster: bool,
}

#[derive(Debug, Clone)]
struct Part {
    number: u16,
    /// The id after which entries may have been delivered to this worker that it does not have.
    owed: Option<String>,
    /// Whether the last read returned entries.
    busy: bool,
    /// The cursor of the next `XAUTOCLAIM`.
    cursor: String,
}

impl std::fmt::Debug for RedisQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisQueue").field("consumer", &self.consumer).finish_non_exhaustive()
    }
}

impl RedisQueue {
    /// A queue for the worker `consumer`, which reads `batch` entries at once, from all partitions. Nothing is connected yet.
    pub fn new(connector: Connector, layout: Layout, consumer: String, batch: usize) -> Self {
        let part = |number| Part { number, owed: Some(START.to_owned()), busy: true, cursor: START.to_owned() };
        let parts = (0..layout.partitions()).map(part).collect();
        Self { connector, layout, consumer, connection: None, parts, batch, quota: None, cluster: false }
    }

    /// Which limit [`LedgerQueue::level`] compares with.
    #[must_use]
    pub fn with_quota(self, config: &RedisConfig) -> Self {
        Self { quota: config.ledger_stream_bytes, cluster: config.redis_mode == RedisMode::Cluster, ..self }
    }

    /// The connection. After a new one, entries that were delivered to the old one are read again.
    async fn connection(&mut self) -> Result<RedisConnection, BackendError> {
        if let Some(connection) = &self.connection {
            return Ok(connection.clone());
        }
        let connection = self.connector.connect(|_| {}).await.map_err(|error| self.at(&error))?;
        for part in &mut self.parts {
            part.owed = Some(START.to_owned());
        }
        Ok(self.connection.insert(connection).clone())
    }

    /// The connection, after the consumer group was created in each stream.
    async fn connection_with_groups(&mut self) -> Result<RedisConnection, BackendError> {
        let is_new = self.connection.is_none();
        let connection = self.connection().await?;
        if is_new {
            let made = self.parts.iter().map(|part| make_group(connection.clone(), self.layout.events(part.number)));
            let outcome = all(join_all(made).await);
            self.reset_on_error(outcome)?;
        }
        Ok(connection)
    }

    fn at(&self, error: &RedisError) -> BackendError {
        match translate(error) {
            BackendError::Unreachable(why) => BackendError::Unreachable(format!("{}: {why}", self.connector.at())),
            other => other,
        }
    }

    fn reset_on_error<T>(&mut self, outcome: Result<T, RedisError>) -> Result<T, BackendError> {
        if outcome.is_err() {
            // A new connection cures every kind of error.
            self.connection = None;
        }
        outcome.map_err(|error| self.at(&error))
    }

    /// Whether the nodes use the same number of partitions.
    async fn fits(&mut self, mut connection: RedisConnection) -> Result<bool, BackendError> {
        let common =
            redis::cmd("GET").arg(self.layout.deployment()).query_async::<Option<String>>(&mut connection).await;
        let common = self.reset_on_error(common)?;
        Ok(common.is_none_or(|common| self.layout.fits(&common).is_some()))
    }

    async fn now(&self, mut connection: RedisConnection) -> Millis {
        match clock_script().key(self.layout.deployment()).invoke_async::<Millis>(&mut connection).await {
            Ok(micros) => micros / 1_000,
            Err(error) => {
                // The clock of this machine may be wrong, but it is better than none.
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
        let connection = self.connection_with_groups().await?;
        let busy = self.parts.iter().filter(|part| part.busy).count().max(1);
        let count = self.batch.div_ceil(busy);
        let reads = self.parts.iter().map(|part| {
            let (mut connection, stream) = (connection.clone(), self.layout.events(part.number));
            let (number, from) = (part.number, part.owed.as_deref().unwrap_or(">"));
            let mut command = redis::cmd("XREADGROUP");
            command.arg("GROUP").arg(GROUP).arg(&self.consumer).arg("COUNT").arg(count);
            command.arg("STREAMS").arg(&stream).arg(from);
            async move {
                match command.query_async::<Value>(&mut connection).await {
                    Err(error) if error.code() == Some("NOGROUP") => {
                        tracing::warn!(%stream, "Redis has lost the consumer group of the workers; it was created again");
                        make_group(connection, stream).await.map(|()| Vec::new())
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
            // Entries that are set aside in Redis are not read again each time.
            part.owed = part.owed.take().and_then(|_| list.last().map(|last| last.id.clone()));
        }
        Ok(QueueReading { entries: lists.into_iter().flatten().collect(), more })
    }

    async fn take_over(&mut self, idle: Duration) -> Result<Vec<QueuedEntry>, BackendError> {
        let connection = self.connection_with_groups().await?;
        let count = self.batch.div_ceil(self.parts.len().max(1));
        let claims = self.parts.iter().map(|part| {
            let mut connection = connection.clone();
            let mut command = redis::cmd("XAUTOCLAIM");
            command
                .arg(self.layout.events(part.number))
                .arg(GROUP)
                .arg(&self.consumer)
                .arg(idle.as_millis().to_string());
            command.arg(&part.cursor).arg("COUNT").arg(count);
            async move {
                match command.query_async::<(String, Value, Value)>(&mut connection).await {
                    // The next read connects again.
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
        let connection = self.connection_with_groups().await?;
        let of = |part: &Part| sorted(entries.iter().filter(|it| it.partition == part.number).map(|it| it.id.as_str()));
        let ids = self.parts.iter().map(|part| (self.layout.events(part.number), of(part)));
        let acks = ids.filter(|(_, ids)| !ids.is_empty()).map(|(stream, ids)| {
            let mut connection = connection.clone();
            async move { ACKNOWLEDGE.key(stream).arg(GROUP).arg(ids).invoke_async::<i64>(&mut connection).await }
        });
        let outcome = all(join_all(acks).await);
        self.reset_on_error(outcome).map(drop)
    }

    async fn level(&mut self) -> Result<Option<QueueLevel>, BackendError> {
        let connection = self.connection().await?;
        if !self.fits(connection.clone()).await? {
            return Ok(None);
        }
        let now = self.now(connection.clone()).await;
        let looks = (0..self.layout.partitions()).map(|partition| {
            let (mut connection, stream) = (connection.clone(), self.layout.events(partition));
            let mut weigh = WEIGH.key(&stream);
            weigh.arg(u8::from(partition == 0)).arg(u8::from(self.cluster));
            async move {
                let mut both = redis::pipe();
                both.cmd("XLEN").arg(&stream);
                both.cmd("XRANGE").arg(&stream).arg("-").arg("+").arg("COUNT").arg(1);
                let (length, first) = both.query_async::<(usize, Value)>(&mut connection).await?;
                let first = read_list(partition, first).into_iter().next();
                let oldest = first.and_then(|entry| entry.id.split('-').next()?.parse().ok());
                let weighed: Weighed = weigh.invoke_async(&mut connection).await?;
                Ok(((length, oldest), weight(&weighed)))
            }
        });
        let outcome = all(join_all(looks).await);
        let (partitions, weights): (Vec<_>, Vec<_>) = self.reset_on_error(outcome)?.into_iter().unzip();
        let memory = weights.first().map(|(_, memory)| *memory).unwrap_or_default();
        let bytes = weights.iter().map(|(bytes, _)| bytes).sum();
        Ok(Some(QueueLevel { partitions, bytes, most_bytes: limit(self.quota, memory), now }))
    }

    async fn forget_workers(&mut self, idle: Duration) -> Result<u64, BackendError> {
        let connection = self.connection().await?;
        let deletes = (0..self.layout.partitions()).map(|partition| {
            let (mut connection, stream) = (connection.clone(), self.layout.events(partition));
            async move { delete_dead(&mut connection, &stream, idle).await }
        });
        let outcome = all(join_all(deletes).await);
        Ok(self.reset_on_error(outcome)?.into_iter().max().unwrap_or_default())
    }
}

/// Deletes the consumers of a partition that have no pending entries and were idle for `idle`. Returns how many.
async fn delete_dead(connection: &mut RedisConnection, stream: &str, idle: Duration) -> Result<u64, RedisError> {
    let idle = idle.as_millis().to_string();
    match DELETE_DEAD.key(stream).arg(GROUP).arg(idle).invoke_async(connection).await {
        // The stream or the group does not exist.
        Err(error) if error.kind() == redis::ErrorKind::Server(redis::ServerErrorKind::ResponseError) => Ok(0),
        outcome => outcome,
    }
}

/// Creates the group at the begin of the stream.
async fn make_group(mut connection: RedisConnection, stream: String) -> Result<(), RedisError> {
    MAKE_GROUP.key(stream).arg(GROUP).invoke_async(&mut connection).await
}

fn all<T>(outcomes: Vec<Result<T, RedisError>>) -> Result<Vec<T>, RedisError> {
    outcomes.into_iter().collect()
}
