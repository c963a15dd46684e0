//! Does the simulator see what it is there for? Each mutant is a fault that somebody might make in the source. All of them are built into one
//! copy of the tree, each behind a name, and the simulator plays stories with one of them at a time, until a story goes wrong that goes well
//! without it.
//!
//! `cargo test -p sim --test mutants` sees to it that the list still fits the source.
//! `cargo test -p sim --test mutants -- --ignored --nocapture` builds the copy and plays; `MUTANTS=NAME,...` picks some, and
//! `MUTANTS_SECONDS` says how long each may take (60), `MUTANTS_PROFILE=release` builds for release.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub
)]

mod agent;
mod backend;
mod hub;
mod play;
mod replica;
mod room;
mod unseen;
mod worker;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

/// A fault of the source, and what it is called.
pub struct Mutant {
    pub name: &'static str,
    pub what: &'static str,
    pub edits: &'static [Edit],
}

/// `old` stands in `file` once, and becomes `new`, in which `MUTANT` is a condition: whether this mutant is the one that is played.
pub struct Edit {
    pub file: &'static str,
    pub old: &'static str,
    pub new: &'static str,
}

pub fn all() -> impl Iterator<Item = &'static Mutant> {
    let seen = [replica::MUTANTS, hub::MUTANTS, backend::MUTANTS, agent::MUTANTS, worker::MUTANTS, room::MUTANTS];
    seen.into_iter().chain([unseen::MUTANTS]).flatten()
}

/// Whether the simulator is known to see it.
pub fn is_seen(mutant: &Mutant) -> bool {
    unseen::MUTANTS.iter().all(|unseen| unseen.name != mutant.name)
}

pub fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// The files that mutants change, with all mutants in them.
pub fn mutated() -> BTreeMap<&'static str, String> {
    let mut files = BTreeMap::new();
    for mutant in all() {
        for edit in mutant.edits {
            let read = || std::fs::read_to_string(root().join(edit.file)).unwrap_or_default();
            let text: &mut String = files.entry(edit.file).or_insert_with(read);
            let found = text.matches(edit.old).count();
            assert_eq!(found, 1, "{}: this is {found} times in {}:\n{}", mutant.name, edit.file, edit.old);
            let owner = if edit.file.starts_with("src/") { "crate" } else { "tandem" };
            let chosen = format!("{owner}::mutant(\"{}\")", mutant.name);
            *text = text.replacen(edit.old, &edit.new.replace("MUTANT", &chosen), 1);
        }
    }
    files
}

#[test]
fn each_mutant_fits_the_source_and_has_a_name_of_its_own() {
    let mut names = BTreeSet::new();
    for mutant in all() {
        assert!(names.insert(mutant.name), "{} twice", mutant.name);
        assert!(mutant.edits.iter().any(|edit| edit.new.contains("MUTANT")), "{} cannot be switched", mutant.name);
    }
    mutated();
}

#[test]
fn the_simulator_sees_mutants_everywhere_where_it_is_to_look() {
    for place in ["src/replica/", "src/hub/", "src/backend/", "src/worker/", "src/room/", "src/node/agent.rs"] {
        let here = |mutant: &&Mutant| mutant.edits.iter().any(|edit| edit.file.starts_with(place));
        assert!(all().filter(|mutant| is_seen(mutant)).filter(here).count() > 0, "none in {place}");
    }
}
