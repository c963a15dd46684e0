use std::sync::{Arc, LazyLock};

use super::{Database, LedgerError, bans::select_bans};
use crate::{
    id::RoomId,
    ledger::{
        RoomRow,
        table::{self, Stored as _},
    },
};

/// A row without a state is one of which the entries with host and PIN have not arrived yet.
static SELECT: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {} FROM rooms
         WHERE id = $1 AND archived_at IS NULL AND updated_at > now() - interval '24 hours' AND state_version > 0",
        table::names::<RoomRow>()
    )
});

impl Database {
    /// Finds a room that was not closed, and that had a change within a day, for when Redis has lost it.
    pub async fn recall(&self, room: &RoomId) -> Result<Option<RoomRow>, LedgerError> {
        let client = self.lend().await?;
        let work = async {
            let select = client.prepare_cached(&SELECT).await?;
            let row = client.query_opt(&select, &[&room.as_str()]).await?;
            let bans = if row.is_some() { select_bans(&client, room).await? } else { Arc::default() };
            Ok((row, bans))
        };
        let outcome = self.within(work).await;
        let (row, bans) = self.return_client(client, outcome)?;
        let Some(row) = row else { return Ok(None) };
        let archived = false;
        RoomRow::read(&row, (archived, bans))
    }
}
