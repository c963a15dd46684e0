use std::{num::ParseIntError, str::FromStr};

/// How many rows are printed at most; 0 for all.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit(u32);

impl FromStr for Limit {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl Limit {
    /// How many to ask for: one more than is printed tells whether there are more.
    pub(super) fn asked(self) -> u32 {
        if self.0 == 0 { u32::MAX } else { self.0.saturating_add(1) }
    }

    /// How many of these rows are printed. Says so if that leaves some out.
    pub(super) fn printed(self, rows: usize) -> usize {
        let most = usize::try_from(self.0).unwrap_or(usize::MAX);
        if most == 0 || rows <= most {
            return rows;
        }
        eprintln!("tandem: there are more than these {most}: --limit 0 prints all");
        most
    }
}
