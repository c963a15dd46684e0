//! The commands of the README for token mode, as they stand there.

use std::{path::Path, process::Stdio, time::Duration};

use tokio::{process::Command, time::timeout};

use tandem_testkit::process::free_port;

/// What the shell does before: websocat reads from a terminal, which the test does not have, and stops some time.
const BEFORE: &str = r#"
set -u
# Nodes know what was revoked within a second, and nobody types faster.
websocat() { sleep 1; echo "== websocat"; sleep 1 | command timeout 10 websocat "$@" 2>&1; }
ready() { for _ in $(seq 100); do (echo >"/dev/tcp/localhost/$PORT") 2>/dev/null && return; sleep 0.1; done; echo "not ready"; }
trap 'kill $(jobs -p)' EXIT
"#;

/// The commands below a heading.
fn block(heading: &str) -> &'static str {
    let (_, section) = include_str!("../../README.md").split_once(&format!("## {heading}\n")).unwrap();
    section.split("```sh\n").nth(1).unwrap().split("```").next().unwrap()
}

#[tokio::test]
async fn token_mode_of_the_readme() {
    let block = block("Your own users");
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    // It listens after a moment, for which a reader has to wait as well.
    let script = block.replace("4001", &port.to_string()).replace("tandem &\n", "tandem >log 2>&1 &\nready\n");
    assert!(script.contains("ready\n"), "{block}");
    let binaries = Path::new(env!("CARGO_BIN_EXE_tandem")).parent().unwrap();
    let path = format!("{}:{}", binaries.display(), std::env::var("PATH").unwrap());
    let running = Command::new("bash")
        .args(["-c", &format!("{BEFORE}{script}")])
        .env("PATH", path)
        .env("PORT", port.to_string())
        .current_dir(dir.path())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = timeout(Duration::from_mins(1), running).await.expect("an end").unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let log = std::fs::read_to_string(dir.path().join("log")).unwrap_or_default();
    let outcomes: Vec<&str> = said.split("== websocat\n").collect();
    let [_, joined, forged, revoked] = outcomes.as_slice() else { panic!("{said}\n{log}") };
    assert!(joined.contains("ROOM_STATE") && joined.contains(r#""hostUserId":"ana""#), "{said}\n{log}");
    assert!(forged.contains("401") && revoked.contains("401"), "{said}\n{log}");
    assert!(forged.contains("revoked  jti   ana-1"), "{said}\n{log}");
    assert!(log.contains("signature") && log.contains("revoked"), "why it is refused: {log}");
}
