use std::collections::HashSet;

use super::{court::Court, truth::excused, verdict::Crime};
use crate::record::{Entered, Event};

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
                if !rest.remove(id.as_str()) && !excused(commit, events) {
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
