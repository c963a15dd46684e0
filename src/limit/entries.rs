/// Entries of the ledger, and their bytes. The queue has a limit for each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is its own name")]
pub struct Entries {
    pub number: u64,
    pub bytes: u64,
}
