//! The membership of nodes, and the rooms that each has.

use async_trait::async_trait;

use super::{answer::corrupt, link::Link, node::RedisNode};
use crate::{
    backend::{BackendError, DeploymentError, Membership, Renewal, records::OLDEST},
    clock::{Clock, Look, Millis, millis},
    id::{NodeId, RoomId},
};

/// How long a node may take to reap the rooms of a dead node, before another one may try.
const TAKE_OVER: Millis = 10_000;
/// How long a name stays taken after the last renewal, in leases.
const NAME_LEASES: Millis = 3;
/// Maximum number of names in one command.
const BATCH: usize = 500;

#[async_trait]
impl Membership for RedisNode {
    fn is_accepting(&self) -> bool {
        self.links.iter().all(|link| !link.is_refused())
    }

    async fn check_deployment(&self, fingerprints: &[String]) -> Result<(), DeploymentError> {
        let written: Option<u8> = self.main().ask(redis::cmd("HGET").arg(self.layout.formats()).arg("")).await?;
        if let Some(written) = written.filter(|written| *written > self.codec.reads()) {
            return Err(DeploymentError::Outdated { written });
        }
        let mine = self.layout.common(&fingerprints.join(","));
        let mut set = redis::cmd("SET");
        set.arg(self.layout.deployment()).arg(&mine).arg("NX").arg("GET");
        let theirs: Option<String> = self.main().ask(&set).await?;
        match theirs.as_deref().map(|theirs| self.layout.fits(theirs)) {
            Some(None) => Err(DeploymentError::Mismatch("another REDIS_PARTITIONS")),
            Some(Some(known)) if !known.split(',').any(|known| fingerprints.iter().any(|own| own == known)) => {
                Err(DeploymentError::Mismatch("another TANDEM_SECRET"))
            }
            Some(Some(_)) if theirs.as_deref() != Some(mine.as_str()) => {
                let mut note = redis::cmd("SET");
                note.arg(self.layout.deployment()).arg(&mine);
                self.main().ask::<()>(&note).await?;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn take_name(&self) -> Result<(), BackendError> {
        self.hold_name(true).await.map(|_| ())
    }

    async fn namesakes(&self) -> Result<u64, BackendError> {
        // Receivers ignore empty messages.
        self.main().ask(redis::cmd("SPUBLISH").arg(&self.channel).arg("")).await
    }

    async fn renew(&self) -> Result<Renewal, BackendError> {
        let mut call = self.scripts.renew.key(self.layout.nodes());
        call.key(self.layout.formats()).arg(self.name.as_str()).arg(millis(self.lease)).arg(self.codec.reads());
        let said: Vec<String> = self.main().invoke(&call).await?;
        let mut said = said.into_iter();
        let (lost, written) = (said.next().unwrap_or_default(), said.next().and_then(|it| it.parse().ok()));
        if lost == "old" {
            return Ok(Renewal { lost: true, usurped: false, outdated: written, dead: Vec::new() });
        }
        self.codec.write_version(written.unwrap_or(OLDEST));
        let dead = said.filter_map(|name| NodeId::parse(&name).ok()).filter(|name| *name != self.name).collect();
        Ok(Renewal { lost: lost == "1", usurped: !self.hold_name(false).await?, outdated: None, dead })
    }

    async fn leave(&self) -> Result<(), BackendError> {
        // They are the only trace of seats that an earlier process of this name has left.
        let inherited = self.abandoned_rooms().await?.len();
        if inherited > 0 {
            tracing::info!(
                rooms = inherited,
                "seats of an earlier process are left; the other nodes give them up once the lease has run out"
            );
            return Ok(());
        }
        self.main().ask::<i64>(redis::cmd("ZREM").arg(self.layout.nodes()).arg(self.name.as_str())).await?;
        self.main().ask::<i64>(redis::cmd("HDEL").arg(self.layout.formats()).arg(self.name.as_str())).await?;
        self.main().ask::<i64>(redis::cmd("DEL").arg(self.layout.held(&self.name))).await.map(|_| ())
    }

    async fn take_over(&self, dead: &NodeId) -> Result<bool, BackendError> {
        let mut set = redis::cmd("SET");
        set.arg(self.layout.reaper(dead)).arg(self.name.as_str()).arg("NX").arg("PX").arg(TAKE_OVER);
        let done: Option<String> = self.main().ask(&set).await?;
        Ok(done.is_some())
    }

    async fn rooms_of(&self, node: &NodeId) -> Result<Vec<RoomId>, BackendError> {
        let held = self.layout.held(node);
        let rooms: Vec<Vec<u8>> = self.main().ask(redis::cmd("SMEMBERS").arg(&held)).await?;
        let (rooms, strange) = names(rooms);
        self.forget_strange(self.main(), "SREM", &held, &strange).await?;
        Ok(rooms)
    }

    async fn abandoned_rooms(&self) -> Result<Vec<RoomId>, BackendError> {
        let mut rooms = self.rooms_of(&self.name).await?;
        rooms.retain(|room| !self.link(room).rooms.contains(room));
        Ok(rooms)
    }

    async fn announce_rooms(&self) -> Result<(), BackendError> {
        let rooms: Vec<String> =
            self.links.iter().flat_map(|link| link.rooms.iter().map(|room| room.to_string())).collect();
        for batch in rooms.chunks(BATCH) {
            self.main().ask::<i64>(redis::cmd("SADD").arg(self.layout.held(&self.name)).arg(batch)).await?;
        }
        Ok(())
    }

    async fn remove_node(&self, dead: &NodeId) -> Result<(), BackendError> {
        let mut call = self.scripts.remove_node.key(self.layout.nodes());
        let removed: i64 = self.main().invoke(call.key(self.layout.formats()).arg(dead.as_str())).await?;
        if removed > 0 {
            self.main().ask::<i64>(redis::cmd("DEL").arg(self.layout.held(dead))).await?;
        }
        Ok(())
    }

    async fn read_clock(&self, clock: &Clock) -> Result<Look, BackendError> {
        let call = self.scripts.time.key(self.layout.nodes());
        let before = clock.count();
        let said = self.main().invoke(&call).await?;
        Ok(Look { before, said, after: clock.count() })
    }
}

impl RedisNode {
    async fn hold_name(&self, take: bool) -> Result<bool, BackendError> {
        let mut call = self.scripts.name.key(self.layout.process(&self.name));
        call.arg(&self.process).arg(NAME_LEASES * millis(self.lease)).arg(u8::from(take));
        let holder: String = self.main().invoke(&call).await?;
        Ok(holder.is_empty())
    }

    /// A restored room has members on this node: it counts as alive for one lease, unless it is known to be dead.
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

    /// Removes invalid names, which would otherwise stay for ever and hide valid ones.
    pub(super) async fn forget_strange(
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
}

/// Divides names into rooms and invalid names.
pub(super) fn names(all: Vec<Vec<u8>>) -> (Vec<RoomId>, Vec<Vec<u8>>) {
    let (mut rooms, mut strange) = (Vec::new(), Vec::new());
    for name in all {
        match std::str::from_utf8(&name).ok().and_then(|name| RoomId::parse(name).ok()) {
            Some(room) => rooms.push(room),
            None => strange.push(name),
        }
    }
    (rooms, strange)
}
