//! A seed is one story, whatever was played before in the process.
#![allow(missing_docs)]

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use sim::{plan::Plan, record::digest, world::play};

#[test]
fn the_same_seed_is_the_same_story() {
    for seed in [1, 2] {
        assert_eq!(digest(&play(&Plan::draw(seed))), digest(&play(&Plan::draw(seed))), "seed {seed}");
    }
    assert_ne!(digest(&play(&Plan::draw(1))), digest(&play(&Plan::draw(2))));
}

/// Whatever was played before, in this process or in none.
#[test]
fn the_first_story_of_a_process_is_the_same_as_later() {
    let told = Command::new(env!("CARGO_BIN_EXE_sim")).args(["--replay", "872", "--whole"]).output();
    let told = String::from_utf8(told.unwrap().stdout).unwrap();
    for seed in [1, 2, 3] {
        play(&Plan::draw(seed));
    }
    let here = format!("digest {:016x}", digest(&play(&Plan::draw(872))));
    assert!(told.lines().any(|line| line == here), "{here}, and not {:?}", told.lines().last());
}

/// In this story two clients wait for the same link. Each runtime of a process has numbers of its own in tokio, and those decided once whom a
/// link that was up again woke first.
#[test]
fn two_that_wait_for_one_link_go_on_in_the_same_order_each_time() {
    let told = Command::new(env!("CARGO_BIN_EXE_sim")).args(["--seeds", "1", "--from", "1500"]).output().unwrap();
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stdout));
}

fn sources(under: &Path) -> Vec<PathBuf> {
    if under.is_file() {
        return vec![under.to_owned()];
    }
    let entries = std::fs::read_dir(under).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|entry| sources(&entry)).filter(|path| path.extension().is_some_and(|it| it == "rs")).collect()
}

/// No seed reaches the numbers of tokio. It draws them in a `select!` without `biased`, and in a `watch` channel with several receivers.
#[test]
fn nothing_in_a_story_depends_on_what_tokio_draws() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let played =
        ["crates/sim/src", "src/hub", "src/replica", "src/room", "src/socket", "src/protocol", "src/node/agent.rs"];
    // It has one receiver.
    let alone = ["src/node/agent.rs"];
    for path in played.iter().flat_map(|folder| sources(&root.join(folder))) {
        let (name, text) = (path.strip_prefix(root).unwrap(), std::fs::read_to_string(&path).unwrap());
        for branches in text.split("select! {").skip(1) {
            let first = branches.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with("//"));
            assert_eq!(first, Some("biased;"), "the first line of a select! in {}", name.display());
        }
        let watches = text.contains("watch::") && !alone.iter().any(|it| name == Path::new(it));
        assert!(!watches, "{} has a watch channel", name.display());
    }
}
