//! What a node and a worker do: the driver of replicas, shared state, the agent of the cluster, the way into the ledger.

use super::{Edit, Mutant};

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "session-outlives-socket",
        what: "a socket's end is committed before its session is taken away",
        edits: &[Edit {
            file: "src/hub/act.rs",
            old: "self.with(&seat.room, |replica, _, _| replica.disconnect(&seat.user, seat.conn));",
            new: "if !MUTANT { self.with(&seat.room, |replica, _, _| replica.disconnect(&seat.user, seat.conn)); }",
        }],
    },
    Mutant {
        name: "stale-unheard",
        what: "a node is told that it may have missed something, and does not listen",
        edits: &[Edit {
            file: "src/hub/hub.rs",
            old: "fn stale(&self, room: &RoomId) {
        if let Some(room) = self.find(room) {",
            new: "fn stale(&self, room: &RoomId) {
        if !MUTANT && let Some(room) = self.find(room) {",
        }],
    },
    Mutant {
        name: "coalesces-all",
        what: "a frame of any type takes the place of an earlier one that waits",
        edits: &[Edit {
            file: "src/hub/outbox.rs",
            old: "if kind.is_coalescable()",
            new: "if (kind.is_coalescable() || MUTANT)",
        }],
    },
    Mutant {
        name: "signal-dropped",
        what: "a signal for a member that is not on this node is acknowledged and dropped",
        edits: &[Edit {
            file: "src/hub/signal.rs",
            old: "Route::Elsewhere(node) => node,",
            new: "Route::Elsewhere(_) if MUTANT => return Ok(()),
            Route::Elsewhere(node) => node,",
        }],
    },
    Mutant {
        name: "close-untold",
        what: "a socket whose seat is lost stays open",
        edits: &[Edit {
            file: "src/hub/driver.rs",
            old: "Effect::Close { to, why } => to.close(why),",
            new: "Effect::Close { to, why } => if !MUTANT { to.close(why) },",
        }],
    },
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
        what: "of an entry of the ledger's queue the first event is read",
        edits: &[Edit {
            file: "src/backend/records/entry.rs",
            old: "Ok(serde_json::from_str(tidy.as_deref().unwrap_or(text))?)",
            new: "let mut entry: Entry = serde_json::from_str(tidy.as_deref().unwrap_or(text))?;
    if MUTANT {
        entry.events.truncate(1);
    }
    Ok(entry)",
        }],
    },
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
];
