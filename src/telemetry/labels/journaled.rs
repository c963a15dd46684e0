use crate::telemetry::Label;

/// The outcomes of writing events to the ledger of a single node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::telemetry) enum Journaled {
    Written,
    Lost,
    /// Counts batches, not events.
    Retries,
}

impl Label for Journaled {
    const KEY: &'static str = "outcome";
    const ALL: &'static [Self] = &[Self::Written, Self::Lost, Self::Retries];
    fn value(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::Lost => "lost",
            Self::Retries => "retries",
        }
    }
}
