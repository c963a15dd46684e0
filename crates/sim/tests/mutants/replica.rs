//! What a node believes of a room.

use super::{Edit, Mutant};

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "lost-retry",
        what: "a command that lost the race for a version is not decided again, and acknowledged",
        edits: &[Edit {
            file: "src/replica/commit.rs",
            old: "out(Effect::Conflict);",
            new: "out(Effect::Conflict);
                if MUTANT {
                    return self.done(attempt, Ok(replica.room.version), replica, env, out);
                }",
        }],
    },
    Mutant {
        name: "early-acknowledgement",
        what: "a commit without an answer is acknowledged",
        edits: &[Edit {
            file: "src/replica/commit.rs",
            old: "self.done(attempt, Err(error.into()), replica, env, out)",
            new: "self.done(attempt, if MUTANT { Ok(update.version()) } else { Err(error.into()) }, replica, env, out)",
        }],
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
                new: "(_, sync) if sync.needs_load()
                    && !(MUTANT && matches!(job, Job::Command(_) | Job::Enter(_))) =>",
            },
        ],
    },
    Mutant {
        name: "missed-gap",
        what: "an update is applied though the one before it is missing",
        edits: &[Edit { file: "src/replica/follow.rs", old: "if !follows {", new: "if !follows && !MUTANT {" }],
    },
    Mutant {
        name: "wrong-socket",
        what: "whoever is about to come in gets the seat of another who comes in",
        edits: &[Edit {
            file: "src/replica/follow.rs",
            old: "self.joining.take_if(|join| join.conn == member.conn)",
            new: "self.joining.take_if(|join| MUTANT || join.conn == member.conn)",
        }],
    },
    Mutant {
        name: "not-reattached",
        what: "a member that was evicted wrongly does not take its seat again",
        edits: &[Edit {
            file: "src/replica/replica.rs",
            old: "find_map(|session| session.evicted())",
            new: "find_map(|session| session.evicted().filter(|_| !MUTANT))",
        }],
    },
    Mutant {
        name: "seat-not-given-back",
        what: "a connection does not get the seat back that a dead one took",
        edits: &[Edit {
            file: "src/replica/displaced.rs",
            old: "displaced.alive = true;",
            new: "displaced.alive = !MUTANT;",
        }],
    },
    Mutant {
        name: "older-copy-believed",
        what: "a room that was put back from an older copy is taken over",
        edits: &[Edit {
            file: "src/replica/comparison.rs",
            old: "if fresh.born() == old.born() =>",
            new: "if fresh.born() == old.born() && !MUTANT =>",
        }],
    },
    Mutant {
        name: "same-tick",
        what: "a pong within the same millisecond as its ping does not count",
        edits: &[Edit {
            file: "src/socket/heartbeat.rs",
            old: "        self.pinged.take().is_some()",
            new: "        if MUTANT && self.pinged == Some(now) {
            return false;
        }
        self.pinged.take().is_some()",
        }],
    },
    Mutant {
        name: "loss-believed",
        what: "what shared state has lost is believed never to have been",
        edits: &[Edit {
            file: "src/replica/comparison.rs",
            old: "(Ordering::Less, _) | (Ordering::Equal, Ordering::Less) =>",
            new: "(Ordering::Less, _) | (Ordering::Equal, Ordering::Less) if MUTANT => Comparison::Other,
        (Ordering::Less, _) | (Ordering::Equal, Ordering::Less) =>",
        }],
    },
    Mutant {
        name: "inbox-untold",
        what: "signals that were kept are taken from the inbox and not told",
        edits: &[Edit {
            file: "src/replica/replay.rs",
            old: "told.extend(signals.iter().skip(first).cloned());",
            new: "told.extend(signals.iter().skip(first).filter(|_| !MUTANT).cloned());",
        }],
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
];
