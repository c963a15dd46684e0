//! What the servers of these tests stand on: nothing. `tests/cluster` runs many of the same tests on another one.

use serde_json::Value;

pub(crate) struct Backing;

impl Backing {
    /// Processes that a [`crate::support::TestApp`] is made of; clients connect to one after the other.
    pub(crate) const NODES: usize = 1;

    pub(crate) async fn start() -> Self {
        Self
    }

    /// Settings that it asks for.
    pub(crate) fn env(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// The events of the ledger where it is not the server's own.
    pub(crate) async fn events(&self) -> Option<Vec<Value>> {
        None
    }
}
