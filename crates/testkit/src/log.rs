//! The log of the server under test.

use std::{sync::Arc, time::Duration};

use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::{DEADLINE, TestApp};

impl TestApp {
    /// The log so far.
    pub fn log(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }

    /// The lines of the log as objects.
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
