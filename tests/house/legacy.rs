//! Clients of the first generation are served by an adapter, not by a case in every file.

use super::{files, imports::production, read};

const ADAPTER: &str = "src/protocol/legacy.rs";

/// The lines that tell the generations apart.
fn cases(text: &str) -> Vec<usize> {
    let words = ["Generation::First", "Generation::Current", "modern", "legacy: "];
    let lines = production(text).lines().map(str::to_owned).collect::<Vec<_>>();
    (1..)
        .zip(lines)
        .filter(|(_, line)| words.iter().any(|word| line.contains(word)))
        .map(|(number, _)| number)
        .collect()
}

#[test]
fn only_the_adapter_tells_generations_apart() {
    let sources = files("src", ".rs").into_iter().filter(|file| file != ADAPTER);
    let found: Vec<_> = sources
        .flat_map(|file| cases(&read(&file)).into_iter().map(move |line| format!("{file}:{line}")).collect::<Vec<_>>())
        .collect();
    assert!(found.is_empty(), "ask the `Generation` what it can do, in {ADAPTER}:\n{}", found.join("\n"));
}

#[test]
fn a_case_is_found_where_it_is_no_comment() {
    assert_eq!(cases("let a = 1;\nif session.generation == Generation::First {}\n// modern\n"), [2]);
}
