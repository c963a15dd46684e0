//! The rules of rooms.

use super::{Edit, Mutant};

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "token-unchanged",
        what: "a client that resumes is given a token, and the seat keeps the old one",
        edits: &[Edit {
            file: "src/room/decide.rs",
            old: "token: Some(resume.token),",
            new: "token: if MUTANT { seated.token } else { Some(resume.token) },",
        }],
    },
    Mutant {
        name: "shown-token-forgotten",
        what: "the token that was shown is no longer good, though the answer with the new one may be lost",
        edits: &[Edit {
            file: "src/room/decide.rs",
            old: "token_before: kept.before,",
            new: "token_before: kept.before.filter(|_| !MUTANT),",
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
                old: "Presence::Away { since, .. } => since.get() + policy.host_grace,",
                new: "Presence::Away { since, .. } => if MUTANT { return None } else { since.get() + policy.host_grace },",
            },
        ],
    },
    Mutant {
        name: "away-for-ever",
        what: "a seat that is kept for a RESUME is kept for ever",
        edits: &[Edit {
            file: "src/room/due.rs",
            old: "Some((until, DueChange::Expire(&member.user))),",
            new: "(!MUTANT).then_some((until, DueChange::Expire(&member.user))),",
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
            old: "token_beside: kept.beside,",
            new: "token_beside: kept.beside.filter(|_| !MUTANT),",
        }],
    },
    Mutant {
        name: "ban-ignored",
        what: "a user who is banned comes in again",
        edits: &[Edit {
            file: "src/room/ban.rs",
            old: "self.bans.contains_key(user)\n            ||",
            new: "!MUTANT && self.bans.contains_key(user)\n            ||",
        }],
    },
    Mutant {
        name: "lock-ignored",
        what: "a locked room takes newcomers",
        edits: &[Edit {
            file: "src/room/decide.rs",
            old: "if room.locked && !may_pass_lock",
            new: "if room.locked && !MUTANT && !may_pass_lock",
        }],
    },
    Mutant {
        name: "any-pin",
        what: "any PIN will do",
        edits: &[Edit {
            file: "src/room/decide.rs",
            old: "None if join.pin.is_some_and(|shown| shown.fits(pin)) => Ok(()),",
            new: "None if MUTANT || join.pin.is_some_and(|shown| shown.fits(pin)) => Ok(()),",
        }],
    },
    Mutant {
        name: "anybody-bans",
        what: "members ban who lead nobody",
        edits: &[Edit {
            file: "src/room/decide/moderation.rs",
            old: "allow(room.moderates(by) && by != who",
            new: "allow((MUTANT || room.moderates(by)) && by != who",
        }],
    },
];
