use serde_json::{Value, value::RawValue};
use tokio_postgres::{Row, types::ToSql};

use super::{Database, LedgerError};
use crate::ledger::{EventRow, Query, column};

impl Database {
    /// Reads events, oldest first.
    pub async fn events(&self, query: &Query) -> Result<Vec<EventRow>, LedgerError> {
        let kind = query.kind.map(crate::ledger::EventType::as_str);
        let (since, until) = (query.since.and_then(column::timestamp), query.until.and_then(column::timestamp));
        // Only what is asked for stands in the statement, so that the planner sees which index and which partitions it needs.
        let wanted: [(&str, Option<&(dyn ToSql + Sync)>); 5] = [
            ("room_id =", query.room.as_ref().map(|value| value as _)),
            ("user_id =", query.user.as_ref().map(|value| value as _)),
            ("event_type =", kind.as_ref().map(|value| value as _)),
            ("created_at >=", since.as_ref().map(|value| value as _)),
            ("created_at <", until.as_ref().map(|value| value as _)),
        ];
        let (conditions, values): (Vec<_>, Vec<_>) =
            wanted.into_iter().filter_map(|(condition, value)| Some((condition, value?))).unzip();
        let conditions: Vec<String> =
            (1..).zip(conditions).map(|(place, condition)| format!("{condition} ${place}")).collect();
        let filter = if conditions.is_empty() { String::new() } else { format!("WHERE {}", conditions.join(" AND ")) };
        let sql = format!(
            "SELECT * FROM (
                 SELECT id, created_at, room_id, event_type, user_id, data, epoch, version, node_id FROM room_events {filter}
                 ORDER BY created_at DESC, epoch DESC, version DESC LIMIT {}) AS newest
             ORDER BY created_at, epoch, version",
            query.limit
        );
        let client = self.lend().await?;
        let work = async { Ok(client.query(&sql, &values).await?) };
        let outcome = self.within(work).await;
        self.settle(client, outcome)?.iter().map(read).collect()
    }
}

fn read(row: &Row) -> Result<EventRow, LedgerError> {
    // As text of ours: jsonb has an order of its own.
    let data = row.try_get::<_, Value>("data")?.to_string();
    let unsigned = |name: &str| row.try_get::<_, i64>(name).map(|number| u64::try_from(number).unwrap_or_default());
    Ok(EventRow {
        id: row.try_get::<_, uuid::Uuid>("id")?.to_string(),
        created_at: column::iso_of(row.try_get("created_at")?),
        room_id: row.try_get("room_id")?,
        event_type: row.try_get("event_type")?,
        user_id: row.try_get("user_id")?,
        data: RawValue::from_string(data).map_err(|_| LedgerError::Range("data"))?,
        epoch: unsigned("epoch")?,
        version: unsigned("version")?,
        node_id: row.try_get("node_id")?,
    })
}
