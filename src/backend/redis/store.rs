use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use super::{answer::unreadable, membership::names, node::RedisNode, retained::StreamId};
use crate::{
    backend::{
        BackendError, Commit, Due, Proposal, RoomStore,
        records::{Codec, Fields, RecordError, raw_position},
    },
    clock::Millis,
    id::RoomId,
    room::{Room, StreamPosition, Update},
};

/// The answer of `commit.lua` when the ledger queue is full.
const FULL: &str = "full";
/// Maximum number of overdue rooms in one answer.
const OVERDUE: usize = 64;

impl RedisNode {
    /// Loads a room, subscribed or not.
    async fn load(&self, room: &RoomId) -> Result<Room, BackendError> {
        self.codec.decode_room(room, &self.fields(room).await?).map_err(|error| self.unreadable(room, &error))
    }

    async fn fields(&self, room: &RoomId) -> Result<Fields, BackendError> {
        self.link(room).ask(redis::cmd("HGETALL").arg(self.layout.room(room))).await
    }

    /// The record of a room cannot be decoded.
    fn unreadable(&self, room: &RoomId, why: &RecordError) -> BackendError {
        let error = unreadable(&format!("what Redis has of room {room}"), why);
        self.faults.note(&error);
        error
    }

    fn unencodable(&self, error: &RecordError) -> BackendError {
        let error = BackendError::Unencodable(error.to_string());
        self.faults.note(&error);
        error
    }

    /// Replaces a record that is still as it was `found`, by its raw version and epoch.
    async fn put_back(&self, room: &Room, found: [Vec<u8>; 2], due: Due) -> Result<Commit, BackendError> {
        let call = self.restore_script(&self.scripts.restore, room, found, due);
        let call = call.map_err(|error| self.unencodable(&error))?;
        let answer: Option<String> = self.link(&room.id).invoke(&call).await?;
        if answer.is_none() {
            return Ok(Commit::Conflict);
        }
        // Redis may have lost the leases of these nodes. If the nodes are dead, that must be noticed.
        let mut others: Vec<_> = room.members.values().map(|member| &member.node).collect();
        others.sort_unstable();
        others.dedup();
        for node in others.into_iter().filter(|node| **node != self.name) {
            self.vouch_for(node, &room.id).await?;
        }
        Ok(Commit::Applied)
    }
}

#[async_trait]
impl RoomStore for RedisNode {
    fn is_up(&self) -> bool {
        self.links.iter().all(|link| link.is_up())
    }

    async fn until_up(&self, within: Duration) -> bool {
        let all = futures_util::future::join_all(self.links.iter().map(|link| link.until_up()));
        tokio::time::timeout(within, all).await.is_ok()
    }

    async fn subscribe(&self, room: &RoomId) -> Result<Room, BackendError> {
        let link = self.link(room);
        let known = link.rooms.contains(room);
        if !known && self.rooms() >= self.max_rooms {
            return Err(BackendError::Full);
        }
        if !known {
            // Before the subscription, so that a link that reconnects meanwhile includes this room.
            link.rooms.insert(room.clone());
            let channels = [self.layout.channel(room)];
            let mut hold = redis::cmd("SADD");
            hold.arg(self.layout.held(&self.name)).arg(room.as_str());
            let heard = tokio::try_join!(link.subscribe(&channels), self.main().ask::<i64>(&hold));
            if let Err(error) = heard {
                link.rooms.remove(room);
                return Err(error);
            }
        }
        let loaded = self.load(room).await;
        // A record that cannot be decoded is waited for, on its channel.
        if !known && loaded.as_ref().is_err_and(|error| !matches!(error, BackendError::Corrupt { .. })) {
            link.rooms.remove(room);
            // If this fails, so does the link.
            let _ = link.unsubscribe(&self.layout.channel(room)).await;
        }
        loaded
    }

    async fn unsubscribe(&self, room: &RoomId) -> Result<(), BackendError> {
        let link = self.link(room);
        if link.rooms.remove(room).is_none() {
            // It could not be subscribed to. An earlier process may have registered it: then it stays registered.
            return Ok(());
        }
        let mut release = redis::cmd("SREM");
        release.arg(self.layout.held(&self.name)).arg(room.as_str());
        let channel = self.layout.channel(room);
        tokio::try_join!(link.unsubscribe(&channel), self.main().ask::<i64>(&release)).map(|_| ())
    }

    async fn commit(&self, proposal: Proposal) -> Result<Commit, BackendError> {
        let room = &proposal.update.room;
        self.link(room).decides()?;
        let encoded = self.encode(&proposal);
        let call = self.commit_call(&proposal, &encoded).map_err(|error| self.unencodable(&error))?;
        let begun = tokio::time::Instant::now();
        let mut answer: Option<String> = self.link(room).call(&call, &self.scripts.commit).await?;
        if answer.as_deref() == Some(FULL) && self.quota.is_old() {
            // The unused shares of other partitions, or the entries that workers took meanwhile, may make room.
            self.measure_ledger().await?;
            let call = self.commit_call(&proposal, &encoded).map_err(|error| self.unencodable(&error))?;
            answer = self.link(room).call(&call, &self.scripts.commit).await?;
        }
        self.metrics.commit.observe(begun.elapsed());
        let Some(answer) = answer else { return Ok(Commit::Conflict) };
        if answer == FULL {
            self.faults.note(&BackendError::LedgerFull);
            return Err(BackendError::LedgerFull);
        }
        if let (Some(retained), Some(id)) = (&self.retained, StreamId::parse(&answer)) {
            let gone = retained.retain(self.layout.partition(room), id, encoded.into_entry());
            self.losses.unguarded(gone);
        }
        Ok(Commit::Applied)
    }

    async fn restore(&self, room: &Room, found: Option<StreamPosition>, due: Due) -> Result<Commit, BackendError> {
        let found = found.unwrap_or_default();
        self.put_back(room, [found.version.to_string().into(), found.epoch.to_string().into()], due).await
    }

    async fn alarm(&self, room: &RoomId) -> Result<(), BackendError> {
        let mut publish = redis::cmd("SPUBLISH");
        publish.arg(self.layout.channel(room)).arg(self.codec.encode_unreadable());
        self.link(room).ask::<i64>(&publish).await.map(|_| ())
    }

    async fn repair(&self, room: &Room, due: Due) -> Result<Commit, BackendError> {
        let found = match self.fields(&room.id).await {
            Ok(fields) => match self.codec.decode_room(&room.id, &fields) {
                Ok(_) => return Ok(Commit::Conflict),
                // The record is not corrupt: it is of a newer release.
                Err(error @ RecordError::Newer { .. }) => return Err(self.unreadable(&room.id, &error)),
                Err(_) => raw_position(&fields),
            },
            // The key is not a hash.
            Err(BackendError::Corrupt { .. }) => raw_position(&Fields::new()),
            Err(error) => return Err(error),
        };
        self.put_back(room, found, due).await
    }

    async fn history(&self, room: &RoomId, epoch: u64, after: u64) -> Result<Option<Vec<Arc<Update>>>, BackendError> {
        let link = self.link(room);
        let (mut range, mut get) = (redis::cmd("LRANGE"), redis::cmd("HMGET"));
        range.arg(self.layout.history(room)).arg(0).arg(-1);
        get.arg(self.layout.room(room)).arg("e").arg("v");
        // In this order, because the history may reach further than the version that was read, but never less far.
        let now: (Option<u64>, Option<u64>) = link.ask(&get).await?;
        let (Some(is), Some(version)) = now else { return Ok(None) };
        if is != epoch || after > version {
            return Ok(None);
        }
        if after == version {
            return Ok(Some(Vec::new()));
        }
        let texts: Vec<Vec<u8>> = link.ask(&range).await?;
        match since(&self.codec, room, &texts, StreamPosition { epoch, version: after }, version) {
            Ok(updates) => Ok(updates),
            // Then the history is lost.
            Err(error) => {
                self.unreadable(room, &error);
                Ok(None)
            }
        }
    }

    async fn exists(&self, room: &RoomId) -> Result<bool, BackendError> {
        self.link(room).ask(redis::cmd("HEXISTS").arg(self.layout.room(room)).arg("v")).await
    }

    async fn overdue(&self, at: Millis) -> Result<Vec<RoomId>, BackendError> {
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

    async fn set_due(&self, room: &RoomId, due: Option<Millis>) -> Result<(), BackendError> {
        let key = self.layout.due(self.layout.partition(room));
        let command = match due {
            Some(at) => redis::cmd("ZADD").arg(key).arg(at).arg(room.as_str()).to_owned(),
            None => redis::cmd("ZREM").arg(key).arg(room.as_str()).to_owned(),
        };
        self.link(room).ask::<i64>(&command).await.map(|_| ())
    }

    async fn extend_rooms(&self) -> Result<(), BackendError> {
        let rooms: Vec<RoomId> =
            self.links.iter().flat_map(|link| link.rooms.iter().map(|room| room.clone()).collect::<Vec<_>>()).collect();
        for room in rooms {
            self.link(&room)
                .ask::<i64>(redis::cmd("PEXPIRE").arg(self.layout.room(&room)).arg(self.retention.room))
                .await?;
        }
        Ok(())
    }
}

/// The updates of the history after a position, if they reach to `version` without a gap.
fn since(
    codec: &Codec,
    room: &RoomId,
    texts: &[Vec<u8>],
    after: StreamPosition,
    version: u64,
) -> Result<Option<Vec<Arc<Update>>>, RecordError> {
    let mut updates = Vec::new();
    let mut reached = after.version;
    for text in texts {
        let to = codec.decode_head(text)?.position();
        if to.epoch != after.epoch || to.version <= after.version {
            continue;
        }
        let update = codec.decode_update(room, text)?;
        if update.base > reached {
            return Ok(None);
        }
        reached = to.version;
        updates.push(Arc::new(update));
    }
    Ok((reached >= version).then_some(updates))
}
