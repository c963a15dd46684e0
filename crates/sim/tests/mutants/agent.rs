//! The agent of the cluster: leases, dead nodes, the way in.

use super::{Edit, Mutant};

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "dead-not-reaped",
        what: "nobody gives up the seats of a dead node",
        edits: &[Edit {
            file: "src/node/agent.rs",
            old: "dead.send_replace(renewal.dead);",
            new: "if !MUTANT { dead.send_replace(renewal.dead); }",
        }],
    },
    Mutant {
        name: "lease-ignored",
        what: "a node does not mind that its lease had run out",
        edits: &[Edit {
            file: "src/node/agent.rs",
            old: "if renewal.lost && !first {",
            new: "if renewal.lost && !first && !MUTANT {",
        }],
    },
    Mutant {
        name: "namesake-believed",
        what: "a process that starts leaves the seats of the one before it",
        edits: &[Edit {
            file: "src/node/agent.rs",
            old: "Ok(self.parts.hub.tidy(rooms).await)",
            new: "Ok(MUTANT || self.parts.hub.tidy(rooms).await)",
        }],
    },
    Mutant {
        name: "never-ready-again",
        what: "a node that was without shared state for a while lets nobody in afterwards",
        edits: &[
            Edit {
                file: "src/node/agent.rs",
                old: "let mut away: Option<Instant> = None;",
                new: "let (mut away, mut shut): (Option<Instant>, bool) = (None, false);",
            },
            Edit {
                file: "src/node/agent.rs",
                old: "self.parts.admission.pause(true);",
                new: "self.parts.admission.pause(true);
                shut = MUTANT;",
            },
            Edit {
                file: "src/node/agent.rs",
                old: "self.parts.admission.pause(false);",
                new: "self.parts.admission.pause(shut);",
            },
        ],
    },
];
