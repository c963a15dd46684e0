//! The rules of rooms.

use super::{Edit, Mutant};

const ENTER: &str = "src/room/decide.rs";

pub(super) const MUTANTS: &[Mutant] = &[Mutant {
    name: "token-unchanged",
    what: "a client that resumes is given a token, and the seat keeps the old one",
    edits: &[Edit {
        file: ENTER,
        old: "token: Some(resume.token),",
        new: "token: if MUTANT { seated.token } else { Some(resume.token) },",
    }],
}];
