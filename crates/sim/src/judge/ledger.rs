use std::collections::HashSet;

use tandem::ledger::EventType;

use super::{court::Court, truth::excused, verdict::Crime};
use crate::record::{Entered, Event};

/// How long the last events may be on their way: clients that are shut out go on knocking until the end, and each refusal is an event.
const UNDER_WAY: u64 = 2_000;

impl Court<'_> {
    /// Each event is in the ledger.
    pub(super) fn ledger(&mut self, at: u64, ledger: &[String], events: &[Entered]) {
        let mut rest: HashSet<&str> = ledger.iter().map(String::as_str).collect();
        let mut found = Vec::new();
        let mut commits = self.truth.commits.iter();
        for Entered { event, .. } in events {
            let Event::Commit { entry, .. } = event else { continue };
            let Some(commit) = commits.next() else { break };
            for event in entry.iter().flat_map(|entry| entry.events()) {
                let id = event.id.to_string();
                let is_under_way = commit.at + UNDER_WAY > at && matches!(event.kind, EventType::JoinRefused);
                if !rest.remove(id.as_str()) && !is_under_way && !excused(commit, events) {
                    found.push(format!("{:?} of version {} is missing", event.kind, commit.update.version()));
                }
            }
        }
        if !rest.is_empty() {
            found.push(format!("{} events never were", rest.len()));
        }
        found.into_iter().for_each(|what| self.find(Crime::Ledger, at, what));
    }
}
