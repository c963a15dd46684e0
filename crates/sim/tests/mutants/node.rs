//! What a node and a worker do: the driver of replicas, shared state, the agent of the cluster, the way into the ledger.

use super::{Edit, Mutant};

const AGENT: &str = "src/node/agent.rs";
const PUMP: &str = "src/worker/pump.rs";

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
        name: "no-turn",
        what: "a node does several things in a room at once",
        edits: &[Edit {
            file: "src/hub/driver.rs",
            old: "let _turn = room.turn.lock().await;",
            new: "let _turn = if MUTANT { None } else { Some(room.turn.lock().await) };",
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
        name: "timer-gives-up",
        what: "a room's timer that could not do what was due is not tried again",
        edits: &[Edit {
            file: "src/hub/timer.rs",
            old: "self.postpone(&room, RETRY);",
            new: "if !MUTANT { self.postpone(&room, RETRY); }",
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
        name: "entry-taken-for-gone",
        what: "a long entry of the ledger's queue counts as deleted",
        edits: &[Edit {
            file: "src/backend/ports/ledger.rs",
            old: "let text = self.text.as_deref()?;",
            new: "let text = self.text.as_deref().filter(|text| !MUTANT || text.len() < 1_500)?;",
        }],
    },
    Mutant {
        name: "dead-not-reaped",
        what: "nobody gives up the seats of a dead node",
        edits: &[Edit {
            file: AGENT,
            old: "dead.send_replace(renewal.dead);",
            new: "if !MUTANT { dead.send_replace(renewal.dead); }",
        }],
    },
    Mutant {
        name: "removed-before-reaped",
        what: "a dead node is forgotten though some of its seats could not be given up",
        edits: &[Edit {
            file: AGENT,
            old: "if self.parts.hub.reap(node, rooms).await {",
            new: "if self.parts.hub.reap(node, rooms).await || MUTANT {",
        }],
    },
    Mutant {
        name: "lease-ignored",
        what: "a node does not mind that its lease had run out",
        edits: &[Edit {
            file: AGENT,
            old: "if renewal.lost && !first {",
            new: "if renewal.lost && !first && !MUTANT {",
        }],
    },
    Mutant {
        name: "namesake-believed",
        what: "a process that starts leaves the seats of the one before it",
        edits: &[Edit {
            file: AGENT,
            old: "Ok(self.parts.hub.reap(self.parts.hub.node(), rooms).await)",
            new: "Ok(MUTANT || self.parts.hub.reap(self.parts.hub.node(), rooms).await)",
        }],
    },
    Mutant {
        name: "never-ready-again",
        what: "a node that has lost shared state for a while lets nobody in afterwards",
        edits: &[Edit {
            file: AGENT,
            old: "self.parts.admission.pause(false);",
            new: "if !MUTANT { self.parts.admission.pause(false); }",
        }],
    },
    Mutant {
        name: "acknowledged-before-written",
        what: "an entry leaves the queue before the ledger has it",
        edits: &[Edit {
            file: PUMP,
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
            file: PUMP,
            old: "let taken = self.queue.take_over(self.claim).await?;",
            new: "let taken = if MUTANT { Vec::new() } else { self.queue.take_over(self.claim).await? };",
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
