//! Shared state, and what is written into it.

use super::{Edit, Mutant};

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "base-ignored",
        what: "a commit is taken in whatever version it was decided on",
        edits: &[Edit {
            file: "crates/sim/src/store.rs",
            old: "if before.version != update.base ||",
            new: "if !MUTANT && before.version != update.base ||",
        }],
    },
    Mutant {
        name: "half-an-entry",
        what: "of an entry of the ledger's queue the first change is read",
        edits: &[Edit {
            file: "src/backend/records/entry.rs",
            old: "Ok(Entry { node, update: update.into(), payloads, state, seats })",
            new: "let mut update = update;
    if MUTANT {
        update.changes.truncate(1);
    }
    Ok(Entry { node, update: update.into(), payloads, state, seats })",
        }],
    },
    Mutant {
        name: "entry-taken-for-gone",
        what: "a long entry of the ledger's queue counts as deleted",
        edits: &[Edit {
            file: "src/backend/ports/ledger.rs",
            old: "let text = self.text.as_deref()?;",
            new: "let text = self.text.as_deref().filter(|text| !MUTANT || text.len() < 200)?;",
        }],
    },
];
