//! Mutants that no story has shown yet: each was played for some forty stories at most. One that turns red belongs in its place in the
//! other lists. One that never does is either the same program as before, or something that the simulator or its judge does not look at.

use super::{Edit, Mutant};

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "missed-gap",
        what: "an update is applied though the one before it is missing",
        edits: &[Edit { file: "src/replica/follow.rs", old: "if !follows {", new: "if !follows && !MUTANT {" }],
    },
    Mutant {
        name: "skipped-fence",
        what: "a command is decided on a room that is known to be stale",
        edits: &[
            Edit {
                file: "src/replica/commit.rs",
                old: "if replica.sync.needs_load() && attempt.purpose.may_wait()",
                new: "if !MUTANT && replica.sync.needs_load() && attempt.purpose.may_wait()",
            },
            Edit {
                file: "src/replica/turn.rs",
                old: "(_, sync) if sync.needs_load() =>",
                new: "(_, sync) if sync.needs_load() && !MUTANT =>",
            },
        ],
    },
    Mutant {
        name: "lost-seat-untold",
        what: "a room was put back with an older socket in a seat, and the newer socket is not closed",
        edits: &[Edit { file: "src/replica/follow.rs", old: "if reborn {", new: "if reborn && !MUTANT {" }],
    },
    Mutant {
        name: "shown-as-away",
        what: "a member that is about to take its seat again is shown to itself as away",
        edits: &[Edit {
            file: "src/replica/follow.rs",
            old: ".filter(|member| !member.present()) {",
            new: ".filter(|member| !member.present() && !MUTANT) {",
        }],
    },
    Mutant {
        name: "ghosts-left",
        what: "members of this node without a socket keep their seats",
        edits: &[Edit {
            file: "src/replica/replica.rs",
            old: "member.node == *env.node && member.present() && !here",
            new: "!MUTANT && member.node == *env.node && member.present() && !here",
        }],
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
            file: "src/replica/standing.rs",
            old: "if fresh.mark == old.mark =>",
            new: "if fresh.mark == old.mark || MUTANT =>",
        }],
    },
    Mutant {
        name: "history-believed",
        what: "history is replayed though it does not lead to the room that was read",
        edits: &[Edit {
            file: "src/replica/standing.rs",
            old: "return room.mark == fresh.mark;",
            new: "return room.mark == fresh.mark || MUTANT;",
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
        name: "load-not-repeated",
        what: "a room that could not be read is taken for current",
        edits: &[Edit {
            file: "src/replica/sync.rs",
            old: "Self::Loading(_) => *self = Self::Resync { why, at: now + RETRY },",
            new: "Self::Loading(_) if MUTANT => *self = Self::Live,
            Self::Loading(_) => *self = Self::Resync { why, at: now + RETRY },",
        }],
    },
    Mutant {
        name: "replay-lets-through",
        what: "a frame passes a resuming client that is still told what it missed",
        edits: &[Edit {
            file: "src/replica/session.rs",
            old: "            State::Replaying(replay) => replay.push(frame, class),
            State::WronglyEvicted(eviction) => match",
            new: "            State::Replaying(_) if MUTANT => out(Effect::Send { to: &self.handle, frame, class }),
            State::Replaying(replay) => replay.push(frame, class),
            State::WronglyEvicted(eviction) => match",
        }],
    },
    Mutant {
        name: "replayed-twice",
        what: "a replay goes on past the beginning of the session",
        edits: &[Edit {
            file: "src/replica/replay.rs",
            old: "|| version >= until {",
            new: "|| (version >= until && !MUTANT) {",
        }],
    },
    Mutant {
        name: "waiting-dropped",
        what: "what happened during a replay is not told after it",
        edits: &[Edit {
            file: "src/replica/replay.rs",
            old: "for (frame, class) in &waited {",
            new: "for (frame, class) in waited.iter().filter(|_| !MUTANT) {",
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
            file: "src/node/agent.rs",
            old: "dead.send_replace(renewal.dead);",
            new: "if !MUTANT { dead.send_replace(renewal.dead); }",
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
            old: "Ok(self.parts.hub.reap(self.parts.hub.node(), rooms).await)",
            new: "Ok(MUTANT || self.parts.hub.reap(self.parts.hub.node(), rooms).await)",
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
    Mutant {
        name: "shown-token-forgotten",
        what: "the token that was shown is no longer good, though the answer with the new one may be lost",
        edits: &[Edit {
            file: "src/room/decide.rs",
            old: "token_before: Some(shown),",
            new: "token_before: (!MUTANT).then_some(shown),",
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
        name: "late-departure",
        what: "the end of an old socket takes the seat from the new one",
        edits: &[Edit {
            file: "src/room/decide/leave.rs",
            old: "member.conn == conn && member.present()",
            new: "(member.conn == conn || MUTANT) && member.present()",
        }],
    },
    Mutant {
        name: "departed-host",
        what: "a host that is gone stays the host",
        edits: &[Edit {
            file: "src/room/apply.rs",
            old: "if self.is_host(user) {",
            new: "if self.is_host(user) && !MUTANT {",
        }],
    },
    Mutant {
        name: "no-election",
        what: "a host that does not come back is not replaced",
        edits: &[
            Edit {
                file: "src/room/due.rs",
                old: "(None, Some(Vacancy { until, .. })) => *until,",
                new: "(None, Some(Vacancy { until, .. })) => if MUTANT { return None } else { *until },",
            },
            Edit {
                file: "src/room/due.rs",
                old: "Presence::Away { since, .. } => since + policy.host_grace,",
                new: "Presence::Away { since, .. } => if MUTANT { return None } else { since + policy.host_grace },",
            },
        ],
    },
    Mutant {
        name: "away-for-ever",
        what: "a seat that is kept for a RESUME is kept for ever",
        edits: &[Edit {
            file: "src/room/due.rs",
            old: "Some((until, Due::Expire(&member.user))),",
            new: "(!MUTANT).then_some((until, Due::Expire(&member.user))),",
        }],
    },
];
