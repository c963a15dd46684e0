use tokio_postgres::types::ToSql;

use super::{Database, LedgerError};
use crate::ledger::{
    EventRow, EventType, Query, cell,
    table::{self, Stored as _},
};

/// How far back the newest events of all rooms and users are looked for, in hours. No index has them in their order, so those of an hour are
/// sorted first, and more only if there are not enough of them.
const BACK: [Option<f64>; 4] = [Some(1.0), Some(24.0), Some(24.0 * 31.0), None];
/// More events than this are not looked for in steps.
const MANY: u32 = 10_000;

impl Database {
    /// Reads events, oldest first.
    pub async fn events(&self, query: &Query) -> Result<Vec<EventRow>, LedgerError> {
        let is_of_all = query.room.is_none() && query.user.is_none() && query.since.is_none() && query.limit <= MANY;
        let mut rows = Vec::new();
        for back in if is_of_all { &BACK[..] } else { &[None] } {
            rows = self.events_since(query, *back).await?;
            if rows.len() as u64 >= query.limit.into() {
                break;
            }
        }
        Ok(rows)
    }

    /// `back` is in hours before now.
    async fn events_since(&self, query: &Query, back: Option<f64>) -> Result<Vec<EventRow>, LedgerError> {
        let kind = query.kind.map(EventType::as_str);
        let (since, until) = (query.since.and_then(cell::timestamp), query.until.and_then(cell::timestamp));
        // The statement has only the conditions that are used, so that the planner knows which index and partitions it needs.
        let wanted: [(&str, Option<&(dyn ToSql + Sync)>); 6] = [
            ("room_id = $", query.room.as_ref().map(|value| value as _)),
            ("user_id = $", query.user.as_ref().map(|value| value as _)),
            ("event_type = $", kind.as_ref().map(|value| value as _)),
            ("created_at >= $", since.as_ref().map(|value| value as _)),
            ("created_at < $", until.as_ref().map(|value| value as _)),
            ("created_at >= now() - interval '1 hour' * $", back.as_ref().map(|value| value as _)),
        ];
        let (conditions, values): (Vec<_>, Vec<_>) =
            wanted.into_iter().filter_map(|(condition, value)| Some((condition, value?))).unzip();
        let conditions: Vec<String> =
            (1..).zip(conditions).map(|(place, condition)| format!("{condition}{place}")).collect();
        let filter = if conditions.is_empty() { String::new() } else { format!("WHERE {}", conditions.join(" AND ")) };
        let sql = format!(
            "SELECT * FROM (
                 SELECT {} FROM room_events {filter}
                 ORDER BY created_at DESC, epoch DESC, version DESC LIMIT {}) AS newest
             ORDER BY created_at, epoch, version",
            table::names::<EventRow>(),
            query.limit
        );
        let client = self.lend().await?;
        let work = async { Ok(client.query(&sql, &values).await?) };
        let outcome = self.within(work).await;
        let rows = self.return_client(client, outcome)?;
        rows.iter().filter_map(|row| EventRow::read(row, ()).transpose()).collect()
    }
}
