//! Reading a room anew when updates may have been missed, and setting right what became wrong meanwhile.

use std::{cmp::Ordering, sync::Arc, time::Duration};

use tokio::time::sleep;

use super::{Hub, HubError, LocalRoom, local::Fit, state::due_after, tick::RETRY};
use crate::{
    backend::{BackendError, Commit},
    id::{ConnId, UserId},
    protocol::Close,
    room::{Command, Member, Room, StreamPosition, Update},
    telemetry::Gap,
};

/// How often a room is read anew because it changes meanwhile.
const TRIES: usize = 8;
/// How often it is looked whether another node has put back a room that cannot be read,
const ALARM_LOOKS: u32 = 10;
/// and how long between two looks.
const ALARM_LOOK: Duration = Duration::from_millis(100);

/// How shared state stands to what this node has.
#[derive(Debug, PartialEq, Eq)]
enum Standing {
    /// Nothing was missed.
    Same,
    /// It has gone on.
    Ahead,
    /// It has lost what this node still has; this is what is left there.
    Behind(Option<StreamPosition>),
    /// It is another room.
    Other,
}

impl Hub {
    /// Makes the replica what shared state says, or shared state what the replica says where that has lost something. Whoever sits here
    /// gets what it missed, or is told that it missed something. The caller holds the room's turn.
    pub(super) async fn refresh(&self, room: &LocalRoom) -> Result<(), HubError> {
        let done = self.read_until_settled(room).await;
        {
            let mut local = room.local();
            local.end_catching();
            if done.is_err() {
                local.doubt = Some(self.now() + RETRY);
            }
        }
        done?;
        self.reconcile(room).await.inspect_err(|_| self.doubt(room))
    }

    async fn read_until_settled(&self, room: &LocalRoom) -> Result<(), HubError> {
        for _ in 0..TRIES {
            {
                let mut local = room.local();
                local.begin_catching();
                // Before it is read: what is missed after that is another doubt.
                local.doubt = None;
            }
            if self.read(room).await? {
                return Ok(());
            }
        }
        Err(self.contended(&room.id))
    }

    /// False: the room went on meanwhile in a way that was not heard of.
    async fn read(&self, room: &LocalRoom) -> Result<bool, HubError> {
        let fresh = match self.backend().subscribe(&room.id).await {
            Err(error @ BackendError::Corrupt { .. }) => match self.repair(room, error).await? {
                Some(fresh) => fresh,
                None => return Ok(false),
            },
            read => read.inspect_err(|error| self.note(error))?,
        };
        let (old, seated) = {
            let local = room.local();
            (local.replica.clone(), !local.seats.is_empty())
        };
        let gaps = &self.parts.metrics.gaps;
        match standing(&old, &fresh, seated, self.now()) {
            Standing::Same => Ok(self.go_on(room, &[])),
            Standing::Ahead => {
                // What cannot be asked now is not gone: it is asked again.
                let history = self.backend().history(&room.id, old.epoch, old.version).await?;
                if let Some(missed) = history.filter(|missed| leads_to(&old, missed, &fresh)) {
                    gaps.inc(Gap::Replayed);
                    return Ok(self.go_on(room, &missed));
                }
                gaps.inc(Gap::Snapshot);
                Ok(self.start_over(room, fresh, "history_gone"))
            }
            Standing::Other => {
                if old.exists() {
                    gaps.inc(Gap::Snapshot);
                }
                Ok(self.start_over(room, fresh, "epoch_changed"))
            }
            Standing::Behind(found) => {
                let again = self.begun_anew(old);
                let due = due_after(None, &again, &self.parts.policy);
                if self.backend().restore(&again, found, due).await? == Commit::Conflict {
                    return Ok(false);
                }
                gaps.inc(Gap::Restored);
                Ok(self.start_over(room, again, "epoch_changed"))
            }
        }
    }

    /// What shared state has of a room cannot be read. Whoever still has the room puts it back: this node, another one, or the ledger. The
    /// room, once somebody has; nothing if it has to be read anew.
    async fn repair(&self, room: &LocalRoom, unreadable: BackendError) -> Result<Option<Room>, HubError> {
        let old = room.local().replica.clone();
        let whole = if old.exists() { Some(self.begun_anew(old)) } else { None };
        if whole.is_none() {
            self.backend().alarm(&room.id).await?;
            for _ in 0..ALARM_LOOKS {
                sleep(ALARM_LOOK).await;
                match self.backend().subscribe(&room.id).await {
                    Err(BackendError::Corrupt { .. }) => {}
                    read => return Ok(Some(read?)),
                }
            }
        }
        let whole = match whole {
            Some(whole) => Some(whole),
            None => self.in_ledger(&room.id).await.map(|room| self.begun_anew(room)),
        };
        // Nobody has it. It is not made anew over what is there: somebody may still be able to read that.
        let Some(whole) = whole else { return Err(unreadable.into()) };
        let due = due_after(None, &whole, &self.parts.policy);
        if self.backend().repair(&whole, due).await? == Commit::Conflict {
            return Ok(None);
        }
        self.parts.metrics.gaps.inc(Gap::Restored);
        tracing::warn!(room = %room.id, version = whole.version, "a room that could not be read was put back");
        Ok(Some(whole))
    }

    /// A room that is put back is another incarnation.
    fn begun_anew(&self, old: Room) -> Room {
        Room { epoch: self.now().max(old.epoch.saturating_add(1)), ..old }
    }

    /// What was missed, then what was heard meanwhile. False if something is still missing.
    fn go_on(&self, room: &LocalRoom, missed: &[Arc<Update>]) -> bool {
        let mut local = room.local();
        let heard = local.end_catching();
        missed.iter().chain(&heard).all(|update| local.update(update, self.context()) != Fit::Gap)
    }

    fn start_over(&self, room: &LocalRoom, fresh: Room, reason: &'static str) -> bool {
        let mut local = room.local();
        let heard = local.end_catching();
        local.adopt(fresh, reason, self.context());
        let position = local.replica.position();
        // What led to another epoch is void.
        let mut heard = heard.iter().filter(|update| update.epoch == position.epoch || position.version == 0);
        heard.all(|update| local.update(update, self.context()) != Fit::Gap)
    }

    /// Members of this node without a socket go; sockets that were taken for gone take their seats again.
    async fn reconcile(&self, room: &LocalRoom) -> Result<(), HubError> {
        for (user, conn, keep_seat) in self.ghosts(room) {
            self.commit(room, &Command::Disconnect { user, conn, keep_seat }).await?;
        }
        loop {
            let Some(member) = room.local().contested.pop() else { return Ok(()) };
            let (user, conn) = (member.user.clone(), member.conn);
            if room.local().seat(&user, conn).is_none() {
                continue;
            }
            if let Err(error) = self.commit(room, &Command::Reseat(Box::new(member.clone()))).await {
                room.local().contested.push(member);
                return Err(error);
            }
            let mut local = room.local();
            if !sits(&local.replica, &user, conn)
                && let Some(seat) = local.seats.remove(&user)
            {
                // Its place is gone: it has to ask for one again.
                seat.outbox.close(Close::SeatLost);
            }
        }
    }

    fn ghosts(&self, room: &LocalRoom) -> Vec<(UserId, ConnId, bool)> {
        let local = room.local();
        let here = |member: &Member| {
            local.seats.get(&member.user).is_some_and(|seat| seat.conn == member.conn)
                || local.arrivals.iter().any(|arrival| arrival.conn == member.conn)
        };
        let mine = local.replica.members.values().filter(|it| it.node == self.parts.node && it.present() && !here(it));
        mine.map(|member| (member.user.clone(), member.conn, member.token.is_some())).collect()
    }
}

fn sits(room: &Room, user: &UserId, conn: ConnId) -> bool {
    room.members.get(user).is_some_and(|member| member.conn == conn && member.present())
}

fn standing(old: &Room, fresh: &Room, seated: bool, now: u64) -> Standing {
    if !old.exists() {
        return Standing::Other;
    }
    if !fresh.exists() {
        // It was closed, or its time was over; otherwise it was lost.
        let over = fresh.epoch >= old.epoch || (!seated && old.empty_until.is_some_and(|until| until <= now));
        return if over { Standing::Other } else { Standing::Behind(None) };
    }
    // Epochs only grow: an earlier one is what is left when shared state has lost where a room was put back.
    match (fresh.epoch.cmp(&old.epoch), fresh.version.cmp(&old.version)) {
        (Ordering::Less, _) | (Ordering::Equal, Ordering::Less) => Standing::Behind(Some(fresh.position())),
        (Ordering::Equal, Ordering::Greater) => Standing::Ahead,
        (Ordering::Equal, Ordering::Equal) if fresh.mark == old.mark => Standing::Same,
        // Shared state had lost something and has gone on in another way since.
        (Ordering::Equal, Ordering::Equal) | (Ordering::Greater, _) => Standing::Other,
    }
}

/// Whether these updates lead from one to the other.
fn leads_to(old: &Room, updates: &[Arc<Update>], fresh: &Room) -> bool {
    let mut room = old.clone();
    for update in updates {
        if update.base != room.version {
            return false;
        }
        for change in &update.changes {
            room.apply(change, update.at);
        }
        if room.version == fresh.version {
            return room.mark == fresh.mark;
        }
    }
    false
}
