use std::{num::ParseIntError, str::FromStr};

/// The maximum number of rows to print; 0 for all.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit(u32);

impl FromStr for Limit {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl Limit {
    /// The number of rows to request: one more than is printed, to know whether there are more.
    pub(super) fn asked(self) -> u32 {
        if self.0 == 0 { u32::MAX } else { self.0.saturating_add(1) }
    }

    /// The number of these rows to print. Reports it if some are left out.
    pub(super) fn printed(self, rows: usize) -> usize {
        let most = usize::try_from(self.0).unwrap_or(usize::MAX);
        if most == 0 || rows <= most {
            return rows;
        }
        eprintln!("tandem: there are more than these {most}: --limit 0 prints all");
        most
    }
}
