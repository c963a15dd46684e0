//! Writes and reads `room_bans`. Bans are rare, so each is a statement of its own.

use std::sync::{Arc, LazyLock};

use deadpool_postgres::Transaction;
use tokio_postgres::types::ToSql;

use super::{LedgerError, batch::bigint};
use crate::{
    id::RoomId,
    ledger::{
        Entry,
        bans::{BanChange, bans, upsert},
    },
    room::Bans,
};

static UPSERT: LazyLock<String> = LazyLock::new(|| upsert("$1, $2, $3, $4, $5, $6, $7, $8"));
const DELETE: &str = "DELETE FROM room_bans WHERE room_id = $1 AND epoch <= $2";
const SELECT: &str = "SELECT user_id, username, origin, banned_at_ms FROM room_bans WHERE room_id = $1 AND NOT lifted";

pub(super) async fn project_bans(step: &Transaction<'_>, entries: &[&Entry]) -> Result<(), LedgerError> {
    for entry in entries {
        let (room, epoch) = (entry.update.room.as_str(), bigint(entry.update.epoch, "epoch")?);
        for change in entry.bans() {
            match change {
                BanChange::End { epoch } => {
                    let delete = step.prepare_cached(DELETE).await?;
                    step.execute(&delete, &[&room, &bigint(epoch, "epoch")?]).await?;
                }
                BanChange::Banned { ban, version } => {
                    let origin = ban.origin.map(String::from);
                    let (at, version) = (bigint(ban.at, "banned_at_ms")?, bigint(version, "version")?);
                    let user = ban.user.as_str();
                    let row: [&(dyn ToSql + Sync); 8] =
                        [&room, &user, &ban.username.as_deref(), &origin, &at, &false, &epoch, &version];
                    let upsert = step.prepare_cached(&UPSERT).await?;
                    step.execute(&upsert, &row).await?;
                }
                BanChange::Lifted { user, version } => {
                    let (none, at) = (None::<String>, 0_i64);
                    let (user, version) = (user.as_str(), bigint(version, "version")?);
                    let row: [&(dyn ToSql + Sync); 8] = [&room, &user, &none, &none, &at, &true, &epoch, &version];
                    let upsert = step.prepare_cached(&UPSERT).await?;
                    step.execute(&upsert, &row).await?;
                }
            }
        }
    }
    Ok(())
}

pub(super) async fn select_bans(client: &deadpool_postgres::Client, room: &RoomId) -> Result<Arc<Bans>, LedgerError> {
    let select = client.prepare_cached(SELECT).await?;
    let rows = client.query(&select, &[&room.as_str()]).await?;
    Ok(bans(rows.iter().map(|row| (row.get(0), row.get(1), row.get(2), row.get(3)))))
}
