//! The binary as a command.

use std::{collections::BTreeMap, process::Stdio};

use tokio::{process::Command, time::timeout};

use crate::{DEADLINE, process::tandem};

#[derive(Debug)]
pub struct Output {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs the binary with exactly this environment until it ends.
pub async fn run(env: &BTreeMap<String, String>, args: &[&str]) -> Output {
    let running = command(env, args).stdin(Stdio::null()).kill_on_drop(true).output();
    let output = timeout(2 * DEADLINE, running).await.unwrap_or_else(|_| panic!("{args:?} does not end")).unwrap();
    Output {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

pub(super) fn command(env: &BTreeMap<String, String>, args: &[&str]) -> Command {
    // SIGXFSZ is ignored, so that a write beyond the limit fails, as on a full disk.
    let mut command = Command::new("sh");
    // Some tests limit the number of open files from the start.
    let limit = env.get("TEST_OPEN_FILES").map_or(String::new(), |most| format!("ulimit -n {most}; "));
    let script = format!("trap '' XFSZ; {limit}exec \"$0\" \"$@\"");
    command.env_clear().args(["-c", &script]).arg(tandem()).args(args).envs(env);
    // In another directory, because the `.env` of a developer is not part of the test.
    if let Some(dir) = env.get("TANDEM_DATA_DIR") {
        command.current_dir(dir);
    }
    if let Ok(path) = std::env::var("PATH") {
        command.env("PATH", path);
    }
    command
}
