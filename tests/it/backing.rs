//! What the servers of these tests stand on: nothing. `tests/cluster` runs many of the same tests on another one.

use serde_json::Value;

pub(crate) struct Backing;

#[allow(clippy::unused_self, clippy::unused_async, reason = "the other one has something to do")]
impl Backing {
    /// Processes that a [`crate::support::TestApp`] is made of; clients connect to one after the other.
    pub(crate) const NODES: usize = 1;

    pub(crate) fn start() -> Self {
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
