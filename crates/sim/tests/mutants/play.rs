//! Builds the copy, and plays each mutant until a story goes wrong that goes well without it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::{Duration, Instant},
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
    let seconds = std::env::var("MUTANTS_SECONDS").map_or(60, |seconds| seconds.parse().unwrap());
    let wanted = std::env::var("MUTANTS").unwrap_or_default();
    let mut player = Player { program: build(), limit: Duration::from_secs(seconds), control: BTreeMap::new() };
    println!("| Mutant | Seed | Stories | Seconds | Crime |\n|---|---|---|---|---|");
    let mut green = Vec::new();
    for mutant in all().filter(|mutant| wanted.is_empty() || wanted.split(',').any(|name| name == mutant.name)) {
        let began = Instant::now();
        let found = player.hunt(mutant.name);
        let (seed, stories) = (found.seed.map_or("-".to_owned(), |seed| seed.to_string()), found.stories);
        println!("| {} | {seed} | {stories} | {:.1} | {} |", mutant.name, began.elapsed().as_secs_f64(), found.crime);
        if found.seed.is_none() && is_seen(mutant) {
            green.push(format!("{}: {}", mutant.name, mutant.what));
        }
    }
    assert!(green.is_empty(), "the simulator does not see that\n{}", green.join("\n"));
}

/// Mutants that show only in rare stories, and a seed from which on they are played first.
const RARE: &[(&str, u64)] = &[("lease-ignored", 2_850)];

struct Player {
    program: PathBuf,
    /// How long a mutant may take.
    limit: Duration,
    /// Whether a seed goes well without a mutant.
    control: BTreeMap<u64, bool>,
}

struct Found {
    seed: Option<u64>,
    crime: String,
    stories: u64,
}

impl Player {
    /// Plays a mutant until a story goes wrong that goes well without it.
    fn hunt(&mut self, mutant: &str) -> Found {
        let first = RARE.iter().find(|(name, _)| *name == mutant).map_or(1, |(_, seed)| *seed);
        let (began, mut from, mut stories) = (Instant::now(), first, 0);
        while let Some(left) = self.limit.checked_sub(began.elapsed()).filter(|left| left.as_secs() > 0) {
            let left = left.as_secs().to_string();
            let arguments = ["--first", "--from", &from.to_string(), "--seeds", "1000000", "--within", &left];
            let played = Played::of(&self.run(mutant, &arguments));
            stories += played.stories;
            from += played.stories;
            for (seed, crime) in played.wrong {
                // Two runs that differ show something of the simulator, and nothing of the mutant.
                if !crime.starts_with("Unsteady") && self.goes_well(seed) {
                    return Found { seed: Some(seed), crime, stories };
                }
            }
        }
        Found { seed: None, crime: "GREEN".to_owned(), stories }
    }

    fn goes_well(&mut self, seed: u64) -> bool {
        if let Some(well) = self.control.get(&seed) {
            return *well;
        }
        let well = Played::of(&self.run("", &["--from", &seed.to_string(), "--seeds", "1"])).wrong.is_empty();
        self.control.insert(seed, well);
        well
    }

    fn run(&self, mutant: &str, arguments: &[&str]) -> Output {
        Command::new(&self.program).args(arguments).env("MUTANT", mutant).output().unwrap()
    }
}

/// What a run of the simulator said.
struct Played {
    stories: u64,
    /// The seeds that went wrong, and the first crime of each.
    wrong: Vec<(u64, String)>,
}

impl Played {
    fn of(output: &Output) -> Self {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let stories = text.split(" of ").next().and_then(|count| count.parse().ok());
        let stories = stories.unwrap_or_else(|| panic!("{text}\n{}", String::from_utf8_lossy(&output.stderr)));
        let (mut wrong, mut lines) = (Vec::new(), text.lines());
        while let Some(line) = lines.next() {
            if let Some(rest) = line.strip_prefix("seed ") {
                let seed = rest.split(' ').next().unwrap_or_default().parse().unwrap();
                wrong.push((seed, lines.next().unwrap_or_default().trim().chars().take(160).collect()));
            }
        }
        Self { stories, wrong }
    }
}

/// The simulator with all mutants in it.
fn build() -> PathBuf {
    let target = root().join("target/mutants");
    let tree = target.join("tree");
    copy(&tree);
    let profile = std::env::var("MUTANTS_PROFILE").unwrap_or_else(|_| "dev".to_owned());
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--locked", "--package", "sim", "--profile", &profile]);
    let built = cargo.current_dir(&tree).env("CARGO_TARGET_DIR", &target).status().unwrap();
    assert!(built.success(), "the mutants do not compile");
    target.join(if profile == "dev" { "debug" } else { &profile }).join("sim")
}

/// Copies what git knows of, with all mutants. Files that are as they were keep their times, so that the next build is short.
fn copy(tree: &Path) {
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output().unwrap();
    let (mut mutated, mut copied) = (mutated(), BTreeSet::new());
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
        copied.insert(to);
    }
    remove_others(tree, &copied);
}

/// A file that has been moved since would be a module twice.
fn remove_others(dir: &Path, copied: &BTreeSet<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            remove_others(&path, copied);
        } else if !copied.contains(&path) {
            fs::remove_file(&path).unwrap();
        }
    }
}
