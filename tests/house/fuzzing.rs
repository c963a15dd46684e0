//! The workspace of fuzz/ has a lock of its own: it names the crates of the other one.

use std::collections::BTreeMap;

use super::read;

/// The versions of each crate in a lock.
fn versions(lock: &str) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let text = read(lock);
    let mut name = "";
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("name = \"") {
            name = rest.trim_end_matches('"');
        } else if let Some(rest) = line.strip_prefix("version = \"") {
            all.entry(name.to_owned()).or_default().push(rest.trim_end_matches('"').to_owned());
        }
    }
    all
}

#[test]
fn what_is_fuzzed_is_built_of_what_is_shipped() {
    let shipped = versions("Cargo.lock");
    let mut others = Vec::new();
    for (name, fuzzed) in versions("fuzz/Cargo.lock") {
        if let Some(shipped) = shipped.get(&name) {
            others.extend(fuzzed.into_iter().filter(|it| !shipped.contains(it)).map(|it| format!("{name} {it}")));
        }
    }
    assert!(
        others.is_empty(),
        "in fuzz/Cargo.lock, and of another version in Cargo.lock (cargo update --manifest-path fuzz/Cargo.toml -p NAME --precise VERSION): {others:?}"
    );
}

#[test]
fn each_target_is_run_and_has_a_corpus_of_some_tens_of_files() {
    let script = read("fuzz/run");
    let listed = script.lines().find_map(|line| line.strip_prefix("all=\"")).expect("the list");
    let mut listed: Vec<&str> = listed.trim_end_matches('"').split(' ').collect();
    listed.sort_unstable();
    let targets = super::files("fuzz/fuzz_targets", ".rs");
    let names: Vec<&str> =
        targets.iter().filter_map(|file| file.strip_prefix("fuzz/fuzz_targets/")?.strip_suffix(".rs")).collect();
    assert_eq!(names, listed);
    for name in names {
        let files = super::files(&format!("fuzz/corpus/{name}"), "").len();
        assert!((5..100).contains(&files), "{name} has {files} files");
    }
}
