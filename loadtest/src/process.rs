//! A server as a child process, and what /proc says about any process.

use std::{
    collections::VecDeque,
    fs,
    ops::Sub,
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    task::JoinHandle,
    time::timeout,
};

use crate::target::Target;

/// How long a server may take to listen.
const START: Duration = Duration::from_secs(20);

/// How long a server may take to end after SIGTERM.
const STOP: Duration = Duration::from_secs(20);

/// Log lines of a server that are kept.
const KEPT_LINES: usize = 5;

/// Bunyan's level of a warning.
const WARN: u64 = 40;

/// Bytes of memory of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Memory {
    /// Resident, shared pages in full.
    #[serde(rename = "rss_bytes")]
    pub(crate) rss: u64,
    /// Resident, shared pages by their share.
    #[serde(rename = "pss_bytes")]
    pub(crate) pss: u64,
    /// Resident and nobody else's.
    #[serde(rename = "private_bytes")]
    pub(crate) private: u64,
}

/// CPU time of a process with all its threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cpu {
    /// In the program.
    pub(crate) user: Duration,
    /// In the kernel on its behalf.
    pub(crate) system: Duration,
}

impl Cpu {
    /// Both together.
    pub(crate) fn total(self) -> Duration {
        self.user + self.system
    }
}

impl Sub for Cpu {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self { user: self.user.saturating_sub(earlier.user), system: self.system.saturating_sub(earlier.system) }
    }
}

/// A window into one process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Probe {
    pid: u32,
}

impl Probe {
    /// Looks at a process; fails if there is none under that number.
    pub(crate) fn new(pid: u32) -> Result<Self> {
        let probe = Self { pid };
        probe.cpu()?;
        Ok(probe)
    }

    /// CPU time so far. The kernel counts it in ticks of 10 ms.
    pub(crate) fn cpu(self) -> Result<Cpu> {
        let stat = self.read("stat")?;
        let ticks = rustix::param::clock_ticks_per_second();
        parse_cpu(&stat, ticks).with_context(|| format!("odd /proc/{}/stat", self.pid))
    }

    /// Memory now.
    pub(crate) fn memory(self) -> Result<Memory> {
        let rollup = self.read("smaps_rollup")?;
        parse_memory(&rollup).with_context(|| format!("odd /proc/{}/smaps_rollup", self.pid))
    }

    fn read(self, file: &str) -> Result<String> {
        let path = format!("/proc/{}/{file}", self.pid);
        fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
    }
}

/// `utime` and `stime`, fields 14 and 15; the name in field 2 may hold anything but ends at the last `)`.
fn parse_cpu(stat: &str, ticks_per_second: u64) -> Option<Cpu> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let mut span = || {
        let ticks: u64 = fields.next()?.parse().ok()?;
        Some(Duration::from_nanos(ticks * 1_000_000_000 / ticks_per_second.max(1)))
    };
    Some(Cpu { user: span()?, system: span()? })
}

fn parse_memory(rollup: &str) -> Option<Memory> {
    let sum = |names: &[&str]| {
        let mut total = None;
        for line in rollup.lines() {
            let Some((name, rest)) = line.split_once(':') else {
                continue;
            };
            if names.contains(&name) {
                let kilobytes: u64 = rest.split_ascii_whitespace().next()?.parse().ok()?;
                total = Some(total.unwrap_or(0) + kilobytes * 1024);
            }
        }
        total
    };
    Some(Memory { rss: sum(&["Rss"])?, pss: sum(&["Pss"])?, private: sum(&["Private_Clean", "Private_Dirty"])? })
}

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
        let mut child = Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(environment.iter().map(|(key, value)| (key, value)))
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
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
        if let Some(pid) = self.child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)) {
            kill_process(pid, Signal::TERM)?;
        }
        let Ok(status) = timeout(STOP, self.child.wait()).await else {
            self.child.kill().await?;
            bail!("{} did not end within {STOP:?} of SIGTERM", self.name);
        };
        let status = status?;
        ensure!(status.success(), "{} ended with {status}", self.name);
        // The pipe has ended with the process.
        let _ = (&mut self.reader).await;
        Ok(self.warnings.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect())
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_of_a_process_with_a_nasty_name() {
        let stat = "42 (a) b (c)) S 1 42 42 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 3 0 1";
        let cpu = parse_cpu(stat, 100).unwrap();
        assert_eq!(cpu.user, Duration::from_millis(1500));
        assert_eq!(cpu.system, Duration::from_millis(500));
        assert_eq!(cpu.total(), Duration::from_secs(2));
        assert!(parse_cpu("42 (a) S 1", 100).is_none());
    }

    #[test]
    fn memory_adds_clean_and_dirty() {
        let rollup = "55-66 ---p 00000000 00:00 0 [rollup]\nRss:  100 kB\nPss:   90 kB\n\
                      Pss_Anon: 7 kB\nPrivate_Clean:  10 kB\nPrivate_Dirty:  70 kB\n";
        let memory = parse_memory(rollup).unwrap();
        assert_eq!(memory, Memory { rss: 102_400, pss: 92_160, private: 81_920 });
        assert!(parse_memory("Rss: 1 kB\n").is_none());
    }

    #[test]
    fn this_process_has_figures() {
        let probe = Probe::new(std::process::id()).unwrap();
        assert!(probe.memory().unwrap().rss > 100_000);
    }
}
