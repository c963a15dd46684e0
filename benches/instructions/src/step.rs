use anyhow::Result;

use crate::steps;

/// Something that is done over and over.
pub(crate) struct Step {
    /// Its name, for good: the baseline knows it by that.
    pub(crate) name: &'static str,
    /// How many times are enough.
    pub(crate) times: u64,
    /// Prepares the step, and runs it this number of times. The preparation must not depend on the number.
    pub(crate) run: fn(u64) -> Result<()>,
}

/// All of them, in the order of a frame's way.
pub(crate) fn all() -> Vec<Step> {
    [steps::decode(), steps::core(), steps::hub(), steps::ledger()].into_iter().flatten().collect()
}
