use std::sync::Arc;

use jiff::Timestamp;

use super::{
    Database, LedgerError, Verdict,
    batch::project,
    events::{Means, events_of, write_events},
};
use crate::{
    id::{ConnId, NodeId, RoomId, UserId},
    ledger::Entry,
    room::{Change, Digest, Member, Presence, Role, Room, UnknownFields, Update},
};

/// The name in all fields of the probe entry, which is never committed.
const NAME: &str = "tandem-probe";

impl Database {
    /// Checks whether the database accepts a harmless entry, which is written and rolled back. A rejection of its data counts as accepted,
    /// because then the database works.
    pub async fn takes_entries(&self) -> Result<(), LedgerError> {
        let Some(entry) = harmless() else { return Ok(()) };
        let entries = [&entry];
        let mut client = self.lend().await?;
        let work = async {
            let step = client.transaction().await?;
            write_events(&step, &events_of(&entries), Means::Copy).await?;
            project(&step, &entries).await?;
            Ok(step.rollback().await?)
        };
        let outcome = self.within(work).await;
        match self.return_client(client, outcome) {
            Err(error) if error.verdict() != Verdict::Data => Err(error),
            _ => Ok(()),
        }
    }
}

/// Never `None`, because the names are valid.
fn harmless() -> Option<Entry> {
    let (room, user, node) = (RoomId::parse(NAME).ok()?, UserId::parse(NAME).ok()?, NodeId::parse(NAME).ok()?);
    let at = u64::try_from(Timestamp::now().as_millisecond()).ok()?;
    let member = Member {
        user,
        username: Some(NAME.into()),
        role: Role::Member,
        conn: ConnId::random(),
        node: node.clone(),
        origin: Digest::new([0; 32]),
        token: None,
        token_before: None,
        token_beside: None,
        shown_at: None,
        presence: Presence::Present,
        order: 0,
        watching: false,
        grant: None,
        unknown: UnknownFields::default(),
    };
    let changes = vec![Change::Joined { member, host: false }];
    let update = Arc::new(Update { room: room.clone(), epoch: at, base: 0, at, changes });
    Entry::new(&update, &node, &Room { version: 1, ..Room::vacant(room) })
}

#[cfg(test)]
mod tests {
    #[test]
    fn there_is_something_to_probe_with() {
        assert!(super::harmless().is_some());
    }
}
