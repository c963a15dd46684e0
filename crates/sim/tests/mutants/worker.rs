//! The way into the ledger.

use super::{Edit, Mutant};

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "failed-write-acknowledged",
        what: "entries leave the queue though the ledger did not take them",
        edits: &[Edit {
            file: "src/worker/batch_writer.rs",
            old: "                Err(error) => error,
            };
            let verdict = error.verdict();",
            new: "                Err(_) if MUTANT => {
                    done.extend(part.iter().map(|(queued, _)| *queued));
                    continue;
                }
                Err(error) => error,
            };
            let verdict = error.verdict();",
        }],
    },
    Mutant {
        name: "acknowledged-before-written",
        what: "an entry leaves the queue before the ledger has it",
        edits: &[Edit {
            file: "src/worker/pump.rs",
            old: "let done = self.batch_writer.write(batch).await?;",
            new: "if MUTANT {
            self.queue.acknowledge(&batch.iter().collect::<Vec<_>>()).await?;
        }
        let done = self.batch_writer.write(batch).await?;",
        }],
    },
    Mutant {
        name: "dead-worker-believed",
        what: "nobody takes over what a dead worker had in hand",
        edits: &[Edit {
            file: "src/worker/pump.rs",
            old: "let taken = self.queue.take_over(self.claim).await?;",
            new: "let taken = if MUTANT { Vec::new() } else { self.queue.take_over(self.claim).await? };",
        }],
    },
];
