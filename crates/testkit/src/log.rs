//! The log of the server under test.

use std::{sync::Arc, time::Duration};

use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::{DEADLINE, TestApp, http};

impl TestApp {
    /// Waits until the log has arrived as far as now: a line is written a little later than what it is about.
    ///
    /// Each node refuses a request with an id of ours, and logs that after all that it logged before. It asks again
    /// where a line was left out, because there were too many of its kind. The node must log what is `info`, and serve
    /// this address without a header of a proxy.
    pub async fn log_is_whole(&self) {
        for node in &self.nodes {
            let begun = Instant::now();
            let mut asked = Vec::new();
            while !asked.iter().any(|id: &String| self.log().contains(id)) {
                assert!(begun.elapsed() < DEADLINE, "no refusal is logged:\n{}", self.log());
                let id = uuid::Uuid::new_v4().to_string();
                let reply = http::request(node.addr, "GET", "/ws", &[("X-Request-Id", &id)]).await;
                assert_eq!(reply.status, 426, "{}", reply.body);
                asked.push(id);
                sleep(Duration::from_millis(20)).await;
            }
        }
    }

    /// The log that has arrived.
    pub fn log(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }

    /// The lines of the log that have arrived, as objects.
    pub fn log_lines(&self) -> Vec<Value> {
        self.lines.lock().unwrap().iter().map(|line| serde_json::from_str(line).expect(line)).collect()
    }

    /// Waits for a line with all of these fields, and returns the first one.
    pub async fn log_line(&self, fields: Value) -> Value {
        self.log_lines_with(fields, 1).await.remove(0)
    }

    /// Waits for so many lines with all of these fields.
    pub async fn log_lines_with(&self, fields: Value, count: usize) -> Vec<Value> {
        let begun = Instant::now();
        loop {
            let fits = |line: &Value| fields.as_object().unwrap().iter().all(|(key, value)| line[key] == *value);
            let lines: Vec<Value> = self.log_lines().into_iter().filter(fits).collect();
            if lines.len() >= count {
                return lines;
            }
            assert!(begun.elapsed() < DEADLINE, "not {count} lines have {fields}:\n{}", self.log());
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Does not read the log until the guard is dropped.
    pub async fn stop_reading_its_log(&self) -> tokio::sync::OwnedMutexGuard<()> {
        Arc::clone(&self.gate).lock_owned().await
    }

    /// Waits for a text in the log, which arrives a little later than what it is about.
    pub async fn until_it_says(&self, what: &str) {
        let begun = Instant::now();
        while !self.log().contains(what) {
            assert!(begun.elapsed() < DEADLINE, "it never logs {what:?}:\n{}", self.log());
            sleep(Duration::from_millis(10)).await;
        }
    }
}
