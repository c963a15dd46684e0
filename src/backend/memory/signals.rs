use async_trait::async_trait;

use super::{MemoryNode, lock};
use crate::{
    backend::{BackendError, Delivery, Inbox, SignalBus, answered},
    id::{ConnId, NodeId, RoomId, UserId},
    protocol::Frame,
    room::Presence,
    telemetry::Dropped,
};

#[async_trait]
impl SignalBus for MemoryNode {
    /// The room itself knows the node of the member.
    async fn direct(
        &self,
        room: &RoomId,
        to: &UserId,
        _at: Option<&NodeId>,
        frame: Frame,
    ) -> Result<Delivery, BackendError> {
        let Some(cell) = self.shared.cell(room) else { return Ok(Delivery::Nobody) };
        let mut stored = lock(&cell);
        let Some(member) = stored.room.members.get(to) else { return Ok(Delivery::Nobody) };
        if member.presence == Presence::Present {
            let processes = self.shared.processes(&member.node);
            let listeners = processes.iter().filter_map(|process| process.events.upgrade());
            if listeners.filter(|events| events.signal(room, to, &frame)).count() > 0 {
                return Ok(Delivery::Sent);
            }
        }
        // The member is away, or about to be: its node has no socket of it, or does not listen.
        let gone = stored.keep(to, frame);
        if let Some(losses) = &self.losses {
            losses.note(Dropped::InboxFull, gone, room, to);
        }
        Ok(Delivery::Kept)
    }

    async fn answers(
        &self,
        node: &NodeId,
        room: &RoomId,
        user: &UserId,
        conn: ConnId,
    ) -> Result<Option<bool>, BackendError> {
        let processes = self.shared.processes(node);
        let listening: Vec<_> = processes.iter().filter_map(|process| process.events.upgrade()).collect();
        if listening.is_empty() {
            return Ok(None);
        }
        let asked = listening.iter().find_map(|events| events.ask(room, user, conn));
        Ok(Some(answered(asked).await))
    }

    async fn inbox(&self, room: &RoomId, user: &UserId) -> Result<Inbox, BackendError> {
        Ok(self.shared.cell(room).map(|cell| lock(&cell).inbox(user)).unwrap_or_default())
    }

    async fn taken(&self, room: &RoomId, user: &UserId, inbox: &Inbox) -> Result<(), BackendError> {
        if let Some(cell) = self.shared.cell(room) {
            lock(&cell).take(user, inbox);
        }
        Ok(())
    }
}
