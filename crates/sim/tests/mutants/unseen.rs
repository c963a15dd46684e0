//! Mutants that no story has shown yet. Each was played for half a minute (280 to 580 stories), `doubt-forgotten` and `late-departure` for
//! 3,250 stories. One that turns red belongs in its place in the other lists.
//!
//! None of them is the same program as before, but each needs moments that stories seldom have: shared state that falls back and goes on to
//! the same version before a node that knows better is there again (`restored-in-its-epoch`, `version-is-enough`, `history-believed`,
//! `lost-seat-untold`), or a link or a socket that ends in the few milliseconds of one call (`inbox-trimmed-early`, `removed-before-reaped`,
//! `token-beside-forgotten`, `doubt-forgotten`). After `late-departure` the node of the new socket takes the seat again, as after any wrong
//! eviction. Unit tests show the last two (`replica::sync`, `cargo test --test room`).

use super::{Edit, Mutant};

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "lost-seat-untold",
        what: "a room was put back with an older socket in a seat, and the newer socket is not closed",
        edits: &[Edit { file: "src/replica/follow.rs", old: "if reborn {", new: "if reborn && !MUTANT {" }],
    },
    Mutant {
        name: "restored-in-its-epoch",
        what: "a room is put back with its old epoch",
        edits: &[Edit {
            file: "src/room/reopen.rs",
            old: "epoch: now.max(self.epoch.saturating_add(1)),",
            new: "epoch: if MUTANT { self.epoch } else { now.max(self.epoch.saturating_add(1)) },",
        }],
    },
    Mutant {
        name: "version-is-enough",
        what: "the same version counts as the same room, whatever its mark",
        edits: &[Edit {
            file: "src/replica/comparison.rs",
            old: "if fresh.lineage_hash == old.lineage_hash =>",
            new: "if fresh.lineage_hash == old.lineage_hash || MUTANT =>",
        }],
    },
    Mutant {
        name: "history-believed",
        what: "history is replayed though it does not lead to the room that was read",
        edits: &[Edit {
            file: "src/replica/comparison.rs",
            old: "return room.lineage_hash == fresh.lineage_hash;",
            new: "return room.lineage_hash == fresh.lineage_hash || MUTANT;",
        }],
    },
    Mutant {
        name: "inbox-trimmed-early",
        what: "an inbox is trimmed before its member was told what is in it",
        edits: &[Edit {
            file: "src/hub/driver.rs",
            old: "let (history, inbox) = tokio::join!(history, inbox);",
            new: "let (history, inbox) = tokio::join!(history, inbox);
                if MUTANT && let Ok(inbox) = &inbox {
                    let _ = state.taken(id, &user, inbox).await;
                }",
        }],
    },
    Mutant {
        name: "removed-before-reaped",
        what: "a dead node is forgotten though some of its seats could not be given up",
        edits: &[Edit {
            file: "src/node/agent.rs",
            old: "if self.parts.hub.reap(node, rooms).await {",
            new: "if self.parts.hub.reap(node, rooms).await || MUTANT {",
        }],
    },
    Mutant {
        name: "token-beside-forgotten",
        what: "a RESUME that comes late takes the token away that its client has got elsewhere",
        edits: &[Edit {
            file: "src/room/decide.rs",
            old: "token_beside: beside(seated, shown),",
            new: "token_beside: beside(seated, shown).filter(|_| !MUTANT),",
        }],
    },
    Mutant {
        name: "doubt-forgotten",
        what: "a doubt that comes up while the room is read is forgotten",
        edits: &[Edit {
            file: "src/replica/sync.rs",
            old: "Self::Loading(loading) => loading.again = Some(why),",
            new: "Self::Loading(loading) => loading.again = Some(why).filter(|_| !MUTANT),",
        }],
    },
    Mutant {
        name: "late-departure",
        what: "the end of an old socket takes the seat from the new one",
        edits: &[Edit {
            file: "src/room/decide/leave.rs",
            old: "member.conn == conn && member.present()",
            new: "(member.conn == conn || MUTANT) && member.present()",
        }],
    },
];
