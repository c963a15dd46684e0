//! The events in the ledger of the server under test.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::{DEADLINE, TestApp};

impl TestApp {
    /// `tandem audit events ... --format json`, as a list.
    pub async fn audit(&self, args: &[&str]) -> Vec<Value> {
        if let Some(events) = self.backing.events().await {
            let wanted = |event: &Value| {
                args.chunks(2).all(|option| match option {
                    ["--room", room] => event["room_id"] == **room,
                    ["--type", kind] => event["event_type"] == **kind,
                    ["--user", user] => event["user_id"] == **user,
                    _ => panic!("{args:?}"),
                })
            };
            return events.into_iter().filter(wanted).collect();
        }
        let all: Vec<&str> = ["audit", "events"].iter().chain(args).chain(&["--format", "json"]).copied().collect();
        let output = self.run(&all).await;
        assert_eq!(output.code, Some(0), "{output:?}");
        events(&output.stdout)
    }

    /// Waits until there are `count` events, because the ledger is written a little later than the room.
    pub async fn audit_until(&self, args: &[&str], count: usize) -> Vec<Value> {
        let begun = Instant::now();
        loop {
            let events = self.audit(args).await;
            if events.len() >= count {
                return events;
            }
            assert!(begun.elapsed() < DEADLINE, "{} of {count} events: {events:#?}", events.len());
            sleep(Duration::from_millis(50)).await;
        }
    }
}

/// A list, or one object per line.
fn events(text: &str) -> Vec<Value> {
    if let Ok(Value::Array(list)) = serde_json::from_str(text) {
        return list;
    }
    text.lines().filter(|line| !line.trim().is_empty()).map(|line| serde_json::from_str(line).unwrap()).collect()
}
