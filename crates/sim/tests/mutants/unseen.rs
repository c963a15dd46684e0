//! Mutants that no story has shown yet. Each was played for half a minute (280 to 580 stories), `doubt-forgotten` and `late-departure` for
//! 3,250 stories. One that turns red belongs in its place in the other lists.
//!
//! None of them is the same program as before, but each needs moments that stories seldom have: shared state that falls back and goes on to
//! the same version before a node that knows better is there again (`version-is-enough`, `history-believed`,
//! `lost-seat-untold`), or a link or a socket that ends in the few milliseconds of one call (`inbox-trimmed-early`,
//! `doubt-forgotten`). After `late-departure` the node of the new socket takes the seat again, as after any wrong
//! eviction.

use super::{Edit, Mutant};

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "lost-seat-untold",
        what: "a room was put back with an older socket in a seat, and the newer socket is not closed",
        edits: &[Edit { file: "src/replica/follow.rs", old: "if reborn {", new: "if reborn && !MUTANT {" }],
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
