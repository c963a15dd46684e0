//! Builds the copy, and plays each mutant until it goes wrong.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use super::{all, is_seen, mutated, root};

/// Asks which mutant is played. It is in the copy alone.
const SWITCH: &str = r#"
/// Whether this mutant is played.
#[allow(missing_docs, dead_code)]
pub fn mutant(name: &str) -> bool {
    static PLAYED: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    PLAYED.get_or_init(|| std::env::var("MUTANT").unwrap_or_default()) == name
}
"#;

#[test]
#[ignore = "builds the simulator anew and plays for some minutes"]
fn each_mutant_makes_the_simulator_red() {
    let seconds = std::env::var("MUTANTS_SECONDS").unwrap_or_else(|_| "60".to_owned());
    let wanted = std::env::var("MUTANTS").unwrap_or_default();
    let program = build();
    let clean = Played::of(&run(&program, "", &seconds));
    println!("without a mutant: {} stories in {} s", clean.stories, clean.seconds);
    assert_eq!(clean.wrong, None, "the simulator is red without a mutant");
    println!("| Mutant | Seed | Stories | Seconds | Crime |\n|---|---|---|---|---|");
    let mut green = Vec::new();
    for mutant in all().filter(|mutant| wanted.is_empty() || wanted.split(',').any(|name| name == mutant.name)) {
        let played = Played::of(&run(&program, mutant.name, &seconds));
        let (seed, crime) = played.wrong.unwrap_or_else(|| ("-".to_owned(), "GREEN".to_owned()));
        println!("| {} | {seed} | {} | {} | {crime} |", mutant.name, played.stories, played.seconds);
        if seed == "-" && is_seen(mutant) {
            green.push(format!("{}: {}", mutant.name, mutant.what));
        }
    }
    assert!(green.is_empty(), "the simulator does not see that\n{}", green.join("\n"));
}

/// What a run of the simulator said.
struct Played {
    stories: String,
    seconds: String,
    /// The seed of the first story that went wrong, and its first crime.
    wrong: Option<(String, String)>,
}

impl Played {
    fn of(output: &Output) -> Self {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default();
        let words: Vec<_> = first.split(' ').collect();
        assert!(words.get(1) == Some(&"stories,"), "{first}\n{}", String::from_utf8_lossy(&output.stderr));
        let seconds = words.iter().position(|word| *word == "s:").map_or("?", |place| words[place - 1]);
        let seed = lines.clone().find_map(|line| line.strip_prefix("seed ")?.split(' ').next());
        let crime = text.lines().find(|line| line.starts_with("  ")).unwrap_or_default().trim();
        let wrong = seed.map(|seed| (seed.to_owned(), crime.chars().take(160).collect()));
        Self { stories: words[0].to_owned(), seconds: seconds.to_owned(), wrong }
    }
}

fn run(program: &Path, mutant: &str, seconds: &str) -> Output {
    let arguments = ["--first", "--seeds", "1000000", "--within", seconds];
    Command::new(program).args(arguments).env("MUTANT", mutant).output().unwrap()
}

/// The simulator with all mutants in it.
fn build() -> PathBuf {
    let target = root().join("target/mutants");
    let tree = target.join("tree");
    copy(&tree);
    let profile = std::env::var("MUTANTS_PROFILE").unwrap_or_else(|_| "dev".to_owned());
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--locked", "--package", "sim", "--profile", &profile]);
    let built = cargo.current_dir(&tree).env("CARGO_TARGET_DIR", &target).status().unwrap();
    assert!(built.success(), "the mutants do not compile");
    target.join(if profile == "dev" { "debug" } else { &profile }).join("sim")
}

/// Copies what git knows of, with all mutants. Files that are as they were keep their times, so that the next build is short.
fn copy(tree: &Path) {
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output().unwrap();
    let mut mutated = mutated();
    for name in String::from_utf8(listed.stdout).unwrap().split_terminator('\0') {
        let (from, to) = (root().join(name), tree.join(name));
        if !from.is_file() {
            continue;
        }
        let mut content = mutated.remove(name).map_or_else(|| fs::read(&from).unwrap(), String::into_bytes);
        if name == "src/lib.rs" {
            content.extend_from_slice(SWITCH.as_bytes());
        }
        if fs::read(&to).ok().as_ref() != Some(&content) {
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::write(&to, content).unwrap();
        }
    }
}
