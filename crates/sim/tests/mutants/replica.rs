//! What a node believes of a room.

use super::{Edit, Mutant};

const COMMIT: &str = "src/replica/commit.rs";
const FOLLOW: &str = "src/replica/follow.rs";
const LOAD: &str = "src/replica/load.rs";
const REPLAY: &str = "src/replica/replay.rs";
const STANDING: &str = "src/replica/standing.rs";

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "lost-retry",
        what: "a command that lost the race for a version is not decided again, and acknowledged",
        edits: &[Edit {
            file: COMMIT,
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
            file: COMMIT,
            old: "self.done(attempt, Err(error.into()), replica, env, out)",
            new: "self.done(attempt, if MUTANT { Ok(update.version()) } else { Err(error.into()) }, replica, env, out)",
        }],
    },
    Mutant {
        name: "wrong-socket",
        what: "whoever is about to come in gets the seat of another who comes in",
        edits: &[Edit {
            file: FOLLOW,
            old: "self.joining.take_if(|join| join.conn == member.conn)",
            new: "self.joining.take_if(|join| MUTANT || join.conn == member.conn)",
        }],
    },
    Mutant {
        name: "not-reattached",
        what: "a member that was evicted wrongly does not take its seat again",
        edits: &[Edit {
            file: LOAD,
            old: "find_map(|session| session.evicted()) {",
            new: "find_map(|session| session.evicted().filter(|_| !MUTANT)) {",
        }],
    },
    Mutant {
        name: "loss-believed",
        what: "what shared state has lost is believed never to have been",
        edits: &[Edit {
            file: STANDING,
            old: "(Ordering::Less, _) | (Ordering::Equal, Ordering::Less) =>",
            new: "(Ordering::Less, _) | (Ordering::Equal, Ordering::Less) if MUTANT => Standing::Other,
        (Ordering::Less, _) | (Ordering::Equal, Ordering::Less) =>",
        }],
    },
    Mutant {
        name: "inbox-untold",
        what: "signals that were kept are taken from the inbox and not told",
        edits: &[Edit {
            file: REPLAY,
            old: "told.extend(signals.iter().skip(first).cloned());",
            new: "told.extend(signals.iter().skip(first).filter(|_| !MUTANT).cloned());",
        }],
    },
];
