//! A server as a child process.

use std::{
    collections::VecDeque,
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    task::JoinHandle,
    time::timeout,
};

use crate::{probe::Probe, target::Target};

/// How long a server may take to listen.
const START: Duration = Duration::from_secs(20);

/// How long a server may take to end after SIGTERM.
const STOP: Duration = Duration::from_secs(30);

/// Log lines of a server that are kept.
const KEPT_LINES: usize = 5;

/// Bunyan's level of a warning.
const WARN: u64 = 40;

/// A server that was started here and ends with this value.
#[derive(Debug)]
pub(crate) struct Server {
    name: &'static str,
    child: Child,
    probe: Probe,
    target: Target,
    warnings: Arc<Mutex<VecDeque<String>>>,
    reader: JoinHandle<()>,
    // The relay lives as long as this is open.
    _stdin: Option<ChildStdin>,
}

impl Server {
    /// Starts `program` and waits until it logs that it listens.
    ///
    /// It gets no environment but `environment`, and `folder` as its working directory.
    pub(crate) async fn start(
        name: &'static str,
        program: &Path,
        arguments: &[&str],
        environment: &[(String, String)],
        folder: &Path,
    ) -> Result<Self> {
        // It ends with this process, however that ends.
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "TERM"])
            .arg(program)
            .args(arguments)
            .env_clear()
            .envs(environment.iter().map(|(key, value)| (key, value)))
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {} (with setpriv of util-linux)", program.display()))?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().context("no stdout")?;
        let mut lines = BufReader::new(stdout).lines();
        let address = timeout(START, listening(&mut lines))
            .await
            .map_err(|_| anyhow!("{name} did not listen within {START:?}"))?
            .with_context(|| format!("{name} did not start"))?;
        let probe = Probe::new(child.id().context("it has ended already")?)?;
        let warnings = Arc::default();
        let reader = tokio::spawn(read_log(lines, Arc::clone(&warnings)));
        let target = Target::new(address.parse()?, "/ws")?;
        Ok(Self { name, child, probe, target, warnings, reader, _stdin: stdin })
    }

    /// Where it listens.
    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// Its figures.
    pub(crate) fn probe(&self) -> Probe {
        self.probe
    }

    /// Ends it, first politely; the last warnings it logged.
    pub(crate) async fn stop(mut self) -> Result<Vec<String>> {
        stop(self.name, &mut self.child, Signal::TERM).await?;
        // The pipe has ended with the process.
        let _ = (&mut self.reader).await;
        Ok(self.warnings.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect())
    }
}

/// Ends a child process with a signal that it takes politely.
pub(crate) async fn stop(name: &str, child: &mut Child, signal: Signal) -> Result<()> {
    if let Some(pid) = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)) {
        kill_process(pid, signal)?;
    }
    let Ok(status) = timeout(STOP, child.wait()).await else {
        child.kill().await?;
        bail!("{name} did not end within {STOP:?} of {signal:?}");
    };
    let status = status?;
    ensure!(status.success(), "{name} ended with {status}");
    Ok(())
}

/// Reads on to the line that says where the server listens.
async fn listening(lines: &mut Lines<BufReader<ChildStdout>>) -> Result<String> {
    let mut last = String::from("it said nothing");
    while let Some(line) = lines.next_line().await? {
        if let Ok(entry) = serde_json::from_str::<Value>(&line)
            && entry.get("msg").and_then(Value::as_str) == Some("listening")
            && let Some(address) = entry.get("addr").and_then(Value::as_str)
        {
            return Ok(address.to_owned());
        }
        last = line;
    }
    bail!("its last words: {last}")
}

/// Keeps the pipe empty and remembers the last warnings.
async fn read_log(mut lines: Lines<BufReader<ChildStdout>>, warnings: Arc<Mutex<VecDeque<String>>>) {
    while let Ok(Some(line)) = lines.next_line().await {
        let level =
            serde_json::from_str::<Value>(&line).ok().and_then(|entry| entry.get("level").and_then(Value::as_u64));
        if level.is_some_and(|level| level >= WARN) {
            let mut warnings = warnings.lock().unwrap_or_else(PoisonError::into_inner);
            warnings.push_back(line);
            if warnings.len() > KEPT_LINES {
                warnings.pop_front();
            }
        }
    }
}
