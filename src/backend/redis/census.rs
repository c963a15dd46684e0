//! Which nodes live, what they hold, and what is overdue.

use futures_util::future::try_join_all;
use redis::FromRedisValue as _;

use super::{answer::corrupt, link::Link, node::RedisNode, quota::Memory, retained::StreamId};
use crate::{
    backend::BackendError,
    clock::{Clock, Look, Millis, millis},
    id::{NodeId, RoomId},
};

/// How long a node has for the rooms of a dead one, before another may take its turn.
const CLAIM: Millis = 10_000;
/// How long a name stays taken by a process that does not say so any more, in leases.
const NAME_LEASES: Millis = 3;
/// Rooms that are fetched at once because they are overdue.
const OVERDUE: usize = 64;
/// Names in one command.
const BATCH: usize = 500;

/// What waits in the ledger's streams, of all partitions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backlog {
    /// How many entries.
    pub entries: u64,
    /// What they take of Redis' memory.
    pub bytes: u64,
    /// As much as they may take; 0 if no ledger is kept.
    pub most_bytes: u64,
}

/// What a node hears when it says that it lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewal {
    /// Its own lease had run out, or it never had one: others may have given up its members.
    pub lost: bool,
    /// Another process has taken this node's name.
    pub usurped: bool,
    /// Nodes whose lease has run out.
    pub dead: Vec<NodeId>,
}

impl RedisNode {
    /// Says that this node lives.
    pub async fn renew(&self) -> Result<Renewal, BackendError> {
        let mut call = self.scripts.renew.key(self.layout.nodes());
        call.arg(self.name.as_str()).arg(millis(self.lease));
        let said: Vec<String> = self.main().invoke(&call).await?;
        let lost = said.first().is_some_and(|lost| lost == "1");
        let dead = said.iter().skip(1).filter_map(|name| NodeId::parse(name).ok()).filter(|name| *name != self.name);
        Ok(Renewal { lost, usurped: !self.hold_name(false).await?, dead: dead.collect() })
    }

    /// Looks at Redis' clock.
    pub async fn look_at_clock(&self, clock: &Clock) -> Result<Look, BackendError> {
        let call = self.scripts.time.key(self.layout.nodes());
        let before = clock.count();
        let said = self.main().invoke(&call).await?;
        Ok(Look { before, said, after: clock.count() })
    }

    /// Takes this node's name away from an earlier process that may have it.
    pub async fn take_name(&self) -> Result<(), BackendError> {
        self.hold_name(true).await.map(|_| ())
    }

    /// How many processes listen to this node's name, this one included.
    pub async fn namesakes(&self) -> Result<u64, BackendError> {
        // Nothing follows from an empty message.
        self.main().ask(redis::cmd("SPUBLISH").arg(&self.channel).arg("")).await
    }

    async fn hold_name(&self, take: bool) -> Result<bool, BackendError> {
        let mut call = self.scripts.name.key(self.layout.process(&self.name));
        call.arg(&self.process).arg(NAME_LEASES * millis(self.lease)).arg(u8::from(take));
        let holder: String = self.main().invoke(&call).await?;
        Ok(holder.is_empty())
    }

    /// Asks to be the one that looks after a dead node's rooms.
    pub async fn claim(&self, dead: &NodeId) -> Result<bool, BackendError> {
        let mut set = redis::cmd("SET");
        set.arg(self.layout.reaper(dead)).arg(self.name.as_str()).arg("NX").arg("PX").arg(CLAIM);
        let done: Option<String> = self.main().ask(&set).await?;
        Ok(done.is_some())
    }

    /// The rooms that a node takes part in, as far as it could say so.
    pub async fn held(&self, node: &NodeId) -> Result<Vec<RoomId>, BackendError> {
        let held = self.layout.held(node);
        let rooms: Vec<Vec<u8>> = self.main().ask(redis::cmd("SMEMBERS").arg(&held)).await?;
        let (rooms, strange) = names(rooms);
        self.forget_strange(self.main(), "SREM", &held, &strange).await?;
        Ok(rooms)
    }

    /// The rooms that this node is said to take part in, and does not.
    pub async fn forgotten(&self) -> Result<Vec<RoomId>, BackendError> {
        let mut rooms = self.held(&self.name).await?;
        rooms.retain(|room| !self.link(room).rooms.contains(room));
        Ok(rooms)
    }

    /// A dead node has nothing left to look after: unless it lives again, it is forgotten.
    pub async fn bury(&self, dead: &NodeId) -> Result<(), BackendError> {
        let mut call = self.scripts.bury.key(self.layout.nodes());
        let buried: i64 = self.main().invoke(call.arg(dead.as_str())).await?;
        if buried > 0 {
            self.main().ask::<i64>(redis::cmd("DEL").arg(self.layout.held(dead))).await?;
        }
        Ok(())
    }

    /// A room that was put back has members on this node: it counts as alive for a lease, unless it is known to be dead.
    pub(super) async fn vouch_for(&self, node: &NodeId, room: &RoomId) -> Result<(), BackendError> {
        let time: (u64, u64) = self.main().ask(&redis::cmd("TIME")).await?;
        let until = time.0 * 1_000 + time.1 / 1_000 + millis(self.lease);
        let mut add = redis::cmd("ZADD");
        add.arg(self.layout.nodes()).arg("NX").arg(until).arg(node.as_str());
        self.main().ask::<i64>(&add).await?;
        let mut hold = redis::cmd("SADD");
        hold.arg(self.layout.held(node)).arg(room.as_str());
        self.main().ask::<i64>(&hold).await.map(|_| ())
    }

    /// This node stops, and holds nothing any more.
    pub async fn leave(&self) -> Result<(), BackendError> {
        self.main().ask::<i64>(redis::cmd("ZREM").arg(self.layout.nodes()).arg(self.name.as_str())).await?;
        self.main().ask::<i64>(redis::cmd("DEL").arg(self.layout.held(&self.name))).await.map(|_| ())
    }

    /// Says again which rooms this node takes part in: Redis, or another node that took this one for dead, may have forgotten.
    pub async fn hold_all(&self) -> Result<(), BackendError> {
        let rooms: Vec<String> =
            self.links.iter().flat_map(|link| link.rooms.iter().map(|room| room.to_string())).collect();
        for batch in rooms.chunks(BATCH) {
            self.main().ask::<i64>(redis::cmd("SADD").arg(self.layout.held(&self.name)).arg(batch)).await?;
        }
        Ok(())
    }

    /// Keeps the rooms of this node from expiring, however quiet they are.
    pub async fn refresh_rooms(&self) -> Result<(), BackendError> {
        let rooms: Vec<RoomId> =
            self.links.iter().flat_map(|link| link.rooms.iter().map(|room| room.clone()).collect::<Vec<_>>()).collect();
        for room in rooms {
            self.link(&room)
                .ask::<i64>(redis::cmd("PEXPIRE").arg(self.layout.room(&room)).arg(self.retention.room))
                .await?;
        }
        Ok(())
    }

    /// Rooms that have had something to do since before `at` and have not done it: their node is gone.
    pub async fn overdue(&self, at: Millis) -> Result<Vec<RoomId>, BackendError> {
        let mut rooms = Vec::new();
        for partition in 0..self.layout.partitions() {
            let (link, due) = (self.link_of(partition), self.layout.due(partition));
            let mut range = redis::cmd("ZRANGEBYSCORE");
            range.arg(&due).arg("-inf").arg(at).arg("LIMIT").arg(0).arg(OVERDUE);
            let (found, strange) = names(link.ask(&range).await?);
            rooms.extend(found);
            self.forget_strange(link, "ZREM", &due, &strange).await?;
        }
        Ok(rooms)
    }

    /// What is no room's name would stay there for ever, and in the way of those that are.
    async fn forget_strange(
        &self,
        link: &Link,
        command: &str,
        key: &str,
        strange: &[Vec<u8>],
    ) -> Result<(), BackendError> {
        if strange.is_empty() {
            return Ok(());
        }
        self.faults.note(&corrupt(key, &"it has what is no name of a room"));
        link.ask::<i64>(redis::cmd(command).arg(key).arg(strange)).await.map(|_| ())
    }

    /// Notes when a room that was looked after has something to do next: it need not have changed.
    pub async fn note_due(&self, room: &RoomId, due: Option<Millis>) -> Result<(), BackendError> {
        let key = self.layout.due(self.layout.partition(room));
        let command = match due {
            Some(at) => redis::cmd("ZADD").arg(key).arg(at).arg(room.as_str()).to_owned(),
            None => redis::cmd("ZREM").arg(key).arg(room.as_str()).to_owned(),
        };
        self.link(room).ask::<i64>(&command).await.map(|_| ())
    }

    /// Forgets what the worker has taken out of the streams, and sees how much more they may take. What waits in them.
    pub async fn settle_ledger(&self) -> Result<Backlog, BackendError> {
        let Some(retained) = &self.retained else { return Ok(Backlog::default()) };
        let mut backlog = self.measure_ledger().await?;
        for partition in 0..self.layout.partitions() {
            let (link, events) = (self.link_of(partition), self.layout.events(partition));
            let standing = link.standing();
            let last = retained.last(partition);
            let mut range = redis::cmd("XRANGE");
            range.arg(&events).arg("-").arg("+").arg("COUNT").arg(1);
            let first: redis::Value = link.ask(&range).await?;
            // A stream that has just been lost is empty, too: what it lost is appended again before the link is up.
            if standing.is_none() || standing != link.standing() {
                continue;
            }
            match (first_id(&first), last) {
                (Some(first), _) => {
                    retained.settle(partition, first);
                    backlog.entries += link.ask::<u64>(redis::cmd("XLEN").arg(&events)).await?;
                }
                // Nothing is left: all that was there when this was asked has been taken out.
                (None, Some(last)) => retained.settle(partition, StreamId(last.0, last.1.saturating_add(1))),
                (None, None) => {}
            }
        }
        Ok(backlog)
    }

    /// Sees what the streams take of Redis' memory, and divides the rest anew.
    pub(super) async fn measure_ledger(&self) -> Result<Backlog, BackendError> {
        let weighed = try_join_all((0..self.layout.partitions()).map(|partition| self.weigh(partition))).await?;
        let taken: Vec<u64> = weighed.iter().map(|(bytes, _)| *bytes).collect();
        let memory = weighed.first().map(|(_, memory)| *memory).unwrap_or_default();
        let most_bytes = self.quota.divide(memory, &taken);
        Ok(Backlog { entries: 0, bytes: taken.iter().sum(), most_bytes })
    }

    /// Bytes of a stream. With those of the first one comes how much memory there is.
    async fn weigh(&self, partition: u16) -> Result<(u64, Memory), BackendError> {
        let mut call = self.scripts.weigh.key(self.layout.events(partition));
        call.arg(u8::from(partition == 0)).arg(u8::from(self.cluster));
        let (bytes, most, servers): (String, String, String) = self.link_of(partition).invoke(&call).await?;
        let of_each = most.parse().ok().filter(|most| *most > 0);
        Ok((bytes.parse().unwrap_or_default(), Memory { of_each, servers: servers.parse().unwrap_or(1) }))
    }

    /// Puts back what Redis has lost of this node's entries.
    pub(super) async fn append_lost(&self, partition: u16) -> Result<(), BackendError> {
        let Some(retained) = &self.retained else { return Ok(()) };
        let mut again = 0;
        for batch in retained.all(partition).chunks(BATCH) {
            let calls = batch.iter().map(|(id, entry)| self.append_once(partition, *id, entry));
            for ((id, _), now) in batch.iter().zip(try_join_all(calls).await?) {
                if let Some(now) = now.filter(|now| now != id) {
                    retained.moved(partition, *id, now);
                    again += 1;
                }
            }
        }
        if again > 0 {
            tracing::info!(partition, entries = again, "entries of the ledger were appended again");
        }
        Ok(())
    }
}

impl RedisNode {
    /// The id that the entry has now.
    async fn append_once(&self, partition: u16, id: StreamId, entry: &str) -> Result<Option<StreamId>, BackendError> {
        let mut call = self.scripts.append.key(self.layout.events(partition));
        let now: String = self.link_of(partition).invoke(call.arg(id.to_string()).arg(entry)).await?;
        Ok(StreamId::parse(&now))
    }
}

/// The rooms of these names, and what is none.
fn names(all: Vec<Vec<u8>>) -> (Vec<RoomId>, Vec<Vec<u8>>) {
    let (mut rooms, mut strange) = (Vec::new(), Vec::new());
    for name in all {
        match std::str::from_utf8(&name).ok().and_then(|name| RoomId::parse(name).ok()) {
            Some(room) => rooms.push(room),
            None => strange.push(name),
        }
    }
    (rooms, strange)
}

/// The id of the first entry of an answer to XRANGE.
fn first_id(answer: &redis::Value) -> Option<StreamId> {
    let redis::Value::Array(entries) = answer else { return None };
    let redis::Value::Array(entry) = entries.first()? else { return None };
    StreamId::parse(&String::from_redis_value_ref(entry.first()?).ok()?)
}
