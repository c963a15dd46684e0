use std::{sync::LazyLock, time::Duration};

use futures_util::future::join_all;
use redis::{RedisError, Script, Value};

use super::delivery::{Delivery, read_reply};
use crate::shared::{Connector, Layout, Wire};

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
pub(super) struct Streams {
    connector: Connector,
    layout: Layout,
    consumer: String,
    wire: Option<Wire>,
    parts: Vec<Part>,
    /// Entries that should come at once, of all partitions.
    batch: usize,
    /// Whether more was there than was taken, last time.
    behind: bool,
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

impl Streams {
    pub(super) fn new(connector: Connector, layout: Layout, consumer: String, batch: usize) -> Self {
        let start = || "0-0".to_owned();
        let part = |number| Part { number, owed: Some(start()), busy: true, cursor: start() };
        let parts = (0..layout.partitions()).map(part).collect();
        Self { connector, layout, consumer, wire: None, parts, batch, behind: false }
    }

    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The connection. A new one is owed whatever the old one was given and did not hand on.
    async fn wire(&mut self) -> Result<Wire, RedisError> {
        if let Some(wire) = &self.wire {
            return Ok(wire.clone());
        }
        let wire = self.connector.connect(|_| {}).await?;
        let made = self.parts.iter().map(|part| make_group(wire.clone(), self.layout.events(part.number)));
        all(join_all(made).await)?;
        for part in &mut self.parts {
            part.owed = Some("0-0".to_owned());
        }
        self.wire = Some(wire.clone());
        Ok(wire)
    }

    fn settle<T>(&mut self, outcome: Result<T, RedisError>) -> Result<T, RedisError> {
        if outcome.is_err() {
            // Whatever it was, a fresh connection is as good as any cure.
            self.wire = None;
        }
        outcome
    }

    /// What is new; but first what was given to this worker before, and did not get further.
    pub(super) async fn read(&mut self) -> Result<Vec<Delivery>, RedisError> {
        let wire = self.wire().await?;
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
                        tracing::warn!(%stream, "Redis has lost the group of the workers; it is made anew");
                        make_group(wire, stream).await.map(|()| Vec::new())
                    }
                    reply => reply.map(|reply| read_reply(number, reply)),
                }
            }
        });
        let outcome = all(join_all(reads).await);
        let lists = self.settle(outcome)?;
        self.behind = lists.iter().any(|list| list.len() >= count);
        for (part, list) in self.parts.iter_mut().zip(&lists) {
            part.busy = !list.is_empty();
            // What stays in Redis for another time is not read again and again.
            part.owed = part.owed.take().and_then(|_| list.last().map(|last| last.id.clone()));
        }
        Ok(lists.into_iter().flatten().collect())
    }

    /// Whether there was more to read than the last time has brought.
    pub(super) fn is_behind(&self) -> bool {
        self.behind
    }

    /// What other workers have had in hand for longer than `idle`: they are dead, or might as well be.
    pub(super) async fn take_over(&mut self, idle: Duration) -> Result<Vec<Delivery>, RedisError> {
        let wire = self.wire().await?;
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
                    Err(error) if error.code() == Some("NOGROUP") => Ok(("0-0".to_owned(), Value::Nil, Value::Nil)),
                    reply => reply,
                }
            }
        });
        let outcome = all(join_all(claims).await);
        let replies = self.settle(outcome)?;
        let mut taken = Vec::new();
        for (part, (cursor, list, _)) in self.parts.iter_mut().zip(replies) {
            part.cursor = cursor;
            taken.extend(Delivery::list(part.number, list));
        }
        Ok(taken)
    }

    /// They are in PostgreSQL: they leave Redis.
    pub(super) async fn done(&mut self, batch: &[&Delivery]) -> Result<(), RedisError> {
        let wire = self.wire().await?;
        let of = |part: &Part| batch.iter().filter(|it| it.partition == part.number).map(|it| it.id.as_str()).collect();
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
        self.settle(outcome).map(drop)
    }
}

/// Deletes consumers of a partition that have nothing in hand and have not been heard of for `idle`. How many.
pub(super) async fn delete_dead(wire: &mut Wire, stream: &str, idle: Duration) -> Result<u64, RedisError> {
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
