use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tandem::{
    backend::{BackendError, Commit, Due, Proposal, RoomStore},
    clock::Millis,
    id::RoomId,
    room::{Room, StreamPosition, Update},
};
use tokio::time::timeout;

use super::{link::unreachable, port::Port};
use crate::{
    bus::{Down, lock},
    record::Event,
};

#[async_trait]
impl RoomStore for Port {
    fn is_up(&self) -> bool {
        self.up.get()
    }

    async fn until_up(&self, within: Duration) -> bool {
        timeout(within, self.up.wait()).await.is_ok()
    }

    async fn subscribe(&self, room: &RoomId) -> Result<Room, BackendError> {
        let (name, id) = (self.name.clone(), room.clone());
        let known = !self.link.lock().unwrap().rooms.insert(room.clone());
        if !known {
            let listen = self.ask(move |bus| {
                bus.listen(&name, &id);
                bus.store.hold(&name, [id]);
            });
            if let Err(error) = listen.await {
                self.link.lock().unwrap().rooms.remove(room);
                return Err(error);
            }
        }
        let id = room.clone();
        self.ask(move |bus| bus.store.room(&id)).await
    }

    async fn unsubscribe(&self, room: &RoomId) -> Result<(), BackendError> {
        self.link.lock().unwrap().rooms.remove(room);
        let (name, id) = (self.name.clone(), room.clone());
        self.ask(move |bus| {
            bus.ignore(&name, &id);
            bus.store.release(&name, &id);
        })
        .await
    }

    async fn commit(&self, proposal: Proposal) -> Result<Commit, BackendError> {
        if self.link.lock().unwrap().comparing.is_some() {
            return Err(unreachable());
        }
        let entry = proposal.entry.clone().map(Arc::new);
        let (kept, point) = (entry.clone(), proposal.update.position());
        let done = self.ask(move |bus| {
            let before = bus.store.room(&proposal.update.room).lineage_hash;
            let now = bus.now();
            let (done, number) = bus.store.commit(&proposal, now);
            if done == Commit::Applied {
                let update = Arc::clone(&proposal.update);
                let marks = (before, proposal.after.lineage_hash);
                bus.record.add(Event::Commit { update: Arc::clone(&update), marks, entry });
                bus.publish(&proposal.update.room, || Down::Update(Arc::clone(&update)));
            }
            (done, number)
        });
        let (done, number) = done.await?;
        if done == Commit::Applied {
            lock(&self.bus).record.add(Event::Known { node: self.name.clone(), point });
        }
        if let (Some(number), Some(entry)) = (number, kept) {
            self.retained.lock().unwrap().insert(number, entry);
        }
        Ok(done)
    }

    async fn restore(&self, room: &Room, found: Option<StreamPosition>, due: Due) -> Result<Commit, BackendError> {
        let (room, name, lease) = (room.clone(), self.name.clone(), self.lease);
        self.ask(move |bus| {
            let done = bus.store.restore(&room, found, due);
            if done == Commit::Applied {
                let point = room.position();
                bus.record.add(Event::Restore { room: room.id.clone(), point, mark: room.lineage_hash });
                bus.publish(&room.id, || Down::Replaced(room.id.clone(), point));
                let until = bus.now() + lease;
                for member in room.members.values().filter(|member| member.node != name) {
                    bus.store.vouch_for(&member.node, &room.id, until);
                }
            }
            done
        })
        .await
    }

    async fn history(&self, room: &RoomId, epoch: u64, after: u64) -> Result<Option<Vec<Arc<Update>>>, BackendError> {
        let room = room.clone();
        self.ask(move |bus| bus.store.history(&room, epoch, after)).await
    }

    async fn exists(&self, room: &RoomId) -> Result<bool, BackendError> {
        let room = room.clone();
        self.ask(move |bus| bus.store.room(&room).exists()).await
    }

    async fn alarm(&self, _room: &RoomId) -> Result<(), BackendError> {
        Ok(())
    }

    async fn repair(&self, _room: &Room, _due: Due) -> Result<Commit, BackendError> {
        Ok(Commit::Conflict)
    }

    async fn overdue(&self, at: Millis) -> Result<Vec<RoomId>, BackendError> {
        self.ask(move |bus| bus.store.overdue(at)).await
    }

    async fn set_due(&self, room: &RoomId, due: Option<Millis>) -> Result<(), BackendError> {
        let room = room.clone();
        self.ask(move |bus| match due {
            Some(at) => {
                bus.store.due.insert(room, at);
            }
            None => {
                bus.store.due.remove(&room);
            }
        })
        .await
    }

    async fn extend_rooms(&self) -> Result<(), BackendError> {
        Ok(())
    }
}
