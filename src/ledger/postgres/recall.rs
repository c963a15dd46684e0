use tokio_postgres::Row;

use super::{Database, LedgerError};
use crate::{
    id::{RoomId, UserId},
    ledger::RoomRow,
    room::Digest,
};

impl Database {
    /// What is known of a room that was not closed, and not silent for longer than a day: for one that Redis has lost.
    pub async fn recall(&self, room: &RoomId) -> Result<Option<RoomRow>, LedgerError> {
        let client = self.lend().await?;
        let work = async {
            let select = client
                .prepare_cached(
                    "SELECT host_user_id, current_url, \"current_time\", is_playing, guest_control_enabled, updated_at, epoch, version,
                         rate, position_at_ms, empty_until_ms, pin_digest, host_origin
                     FROM rooms WHERE id = $1 AND archived_at IS NULL AND updated_at > now() - interval '24 hours'",
                )
                .await?;
            Ok(client.query_opt(&select, &[&room.as_str()]).await?)
        };
        let outcome = self.within(work).await;
        let row = self.settle(client, outcome)?;
        row.map(|row| read(room, &row)).transpose().map_err(LedgerError::from)
    }
}

fn read(room: &RoomId, row: &Row) -> Result<RoomRow, tokio_postgres::Error> {
    let unsigned = |name: &str| row.try_get::<_, i64>(name).map(|number| u64::try_from(number).unwrap_or_default());
    let digest =
        |name: &str| row.try_get::<_, Option<String>>(name).map(|hex| hex.and_then(|hex| Digest::try_from(hex).ok()));
    let at: jiff::Timestamp = row.try_get("updated_at")?;
    Ok(RoomRow {
        id: room.clone(),
        epoch: unsigned("epoch")?,
        version: unsigned("version")?,
        host: row.try_get::<_, Option<String>>("host_user_id")?.and_then(|host| UserId::parse(&host).ok()),
        host_origin: digest("host_origin")?,
        url: row.try_get::<_, Option<String>>("current_url")?.map(Into::into),
        position: row.try_get("current_time")?,
        playing: row.try_get("is_playing")?,
        rate: row.try_get("rate")?,
        position_at: unsigned("position_at_ms")?,
        guest_control: row.try_get("guest_control_enabled")?,
        pin: digest("pin_digest")?,
        empty_until: row.try_get::<_, Option<i64>>("empty_until_ms")?.and_then(|until| u64::try_from(until).ok()),
        archived: false,
        at: u64::try_from(at.as_millisecond()).unwrap_or_default(),
    })
}
