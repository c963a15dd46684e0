use std::time::{Duration, Instant};

use serde_json::Value;

use crate::server::Server;

const PATIENCE: Duration = Duration::from_secs(30);

/// The ledger's events of a room, oldest first, each as (type, user).
pub(crate) fn events(server: &Server, room: &str) -> Vec<(String, String)> {
    let printed = server.audit(&["events", "--room", room, "--format", "json"]);
    let rows: Vec<Value> = serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}"));
    let mut rows: Vec<&Value> = rows.iter().collect();
    rows.sort_by_key(|row| (row["epoch"].as_u64(), row["version"].as_u64()));
    let word = |row: &Value, key: &str| row[key].as_str().unwrap_or_else(|| panic!("no {key}: {row}")).to_owned();
    rows.into_iter().map(|row| (word(row, "event_type"), word(row, "user_id"))).collect()
}

/// The ledger is written a moment after the fact: waits until the wanted events are in it, in this order, with others
/// between them as may be.
pub(crate) async fn until_told(server: &Server, room: &str, wanted: &[(&str, &str)]) -> Vec<(String, String)> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let told = events(server, room);
        let mut rest = told.iter();
        let all = wanted.iter().all(|(kind, user)| rest.any(|(k, u)| k == kind && u == user));
        if all {
            return told;
        }
        assert!(Instant::now() < deadline, "the ledger never told {wanted:#?}\nbut: {told:#?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
