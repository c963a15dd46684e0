use std::{
    collections::VecDeque,
    fs::File,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    net::TcpStream,
    process::{Child, ChildStdout, Command},
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::measure::Process;

const START: Duration = Duration::from_secs(20);

/// Limit for a server to exit after its signal.
const STOP: Duration = Duration::from_secs(30);

const POLL: Duration = Duration::from_millis(20);

/// Warnings of a server that are kept for the report.
const KEPT_WARNINGS: usize = 5;

/// The level of a warning in a bunyan or pino log.
const WARN: u64 = 40;

/// A port that was free a moment ago.
pub(super) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Finds a program in PATH or in one of the other folders.
pub(super) fn find(name: &str, elsewhere: &[PathBuf]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<_> = std::env::split_paths(&path).chain(elsewhere.iter().cloned()).collect();
    folders.into_iter().map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// A command whose process gets the signal `stop` when this process ends for any reason. It may run as another user.
pub(super) fn command(program: &Path, user: Option<&str>, stop: Signal) -> Command {
    let mut command = Command::new("setpriv");
    if let Some(user) = user {
        command.args([format!("--reuid={user}"), format!("--regid={user}"), "--clear-groups".to_owned()]);
    }
    command
        .args(["--pdeathsig", if stop == Signal::INT { "INT" } else { "TERM" }])
        .arg(program)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// How a server tells that it listens.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ready {
    /// It logs a line of JSON with `msg` "listening" and its address as `addr`.
    LogLine,
    /// It accepts connections on this port of 127.0.0.1. Its output goes to a file.
    Port(u16),
}

#[derive(Debug)]
pub(super) struct Spec<'a> {
    pub(super) name: &'static str,
    pub(super) program: &'a Path,
    pub(super) arguments: Vec<String>,
    /// The whole environment of the process.
    pub(super) settings: Vec<(String, String)>,
    /// The working directory.
    pub(super) folder: &'a Path,
    /// The user to run as, if it is another one.
    pub(super) user: Option<&'a str>,
    /// The signal for a graceful stop.
    pub(super) stop: Signal,
    pub(super) ready: Ready,
}

/// A server process that was started here and ends with this value.
#[derive(Debug)]
pub(super) struct Server {
    name: &'static str,
    child: Child,
    process: Process,
    address: SocketAddr,
    stop: Signal,
    log: Option<Log>,
}

#[derive(Debug)]
struct Log {
    warnings: Arc<Mutex<VecDeque<String>>>,
    reader: JoinHandle<()>,
}

impl Server {
    /// Starts a server and waits until it listens.
    pub(super) async fn start(spec: Spec<'_>) -> Result<Self> {
        let Spec { name, program, arguments, settings, folder, user, stop, ready } = spec;
        let mut command = command(program, user, stop);
        command.args(arguments).env_clear().envs(settings).current_dir(folder);
        let output = match ready {
            Ready::LogLine => PathBuf::new(),
            Ready::Port(port) => folder.join(format!("{name}-{port}.log")),
        };
        match ready {
            Ready::LogLine => command.stdout(Stdio::piped()),
            Ready::Port(_) => {
                let file = File::create(&output).with_context(|| format!("cannot write {}", output.display()))?;
                command.stdout(file.try_clone()?).stderr(file)
            }
        };
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start {}: is `setpriv` (util-linux) installed?", program.display()))?;
        let process = Process::new(child.id().context("it has already ended")?)?;
        let (address, log) = match ready {
            Ready::LogLine => {
                let mut lines = BufReader::new(child.stdout.take().context("no stdout")?).lines();
                let listening = timeout(START, listening(&mut lines)).await;
                let address = listening
                    .with_context(|| format!("{name} did not listen within {START:?}"))?
                    .with_context(|| format!("{name} did not start"))?;
                let warnings = Arc::default();
                let reader = tokio::spawn(keep_warnings(lines, Arc::clone(&warnings)));
                (address.parse()?, Some(Log { warnings, reader }))
            }
            Ready::Port(port) => {
                let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
                let log = || std::fs::read_to_string(&output).unwrap_or_default();
                accepting(address, &mut child).await.with_context(|| format!("{name} did not start: {}", log()))?;
                (address, None)
            }
        };
        Ok(Self { name, child, process, address, stop, log })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn process(&self) -> Process {
        self.process
    }

    /// Stops it gracefully; returns the last warnings of its log.
    pub(super) async fn stop(mut self) -> Result<Vec<String>> {
        if let Some(pid) = self.child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)) {
            kill_process(pid, self.stop)?;
        }
        let Ok(status) = timeout(STOP, self.child.wait()).await else {
            self.child.kill().await?;
            bail!("{} did not exit within {STOP:?} of {:?}", self.name, self.stop);
        };
        let status = status?;
        ensure!(status.success(), "{} ended with {status}", self.name);
        let Some(log) = &mut self.log else { return Ok(Vec::new()) };
        // The pipe has ended with the process, and so does the reader.
        let _ = (&mut log.reader).await;
        Ok(log.warnings.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect())
    }
}

/// Waits until the server accepts a connection.
async fn accepting(address: SocketAddr, child: &mut Child) -> Result<()> {
    let begun = Instant::now();
    while TcpStream::connect(address).await.is_err() {
        if let Some(status) = child.try_wait()? {
            bail!("it ended with {status}");
        }
        ensure!(begun.elapsed() < START, "it did not listen on {address} within {START:?}");
        sleep(POLL).await;
    }
    Ok(())
}

/// Reads the log up to the line with the address that the server listens on.
async fn listening(lines: &mut Lines<BufReader<ChildStdout>>) -> Result<String> {
    let mut last = String::from("(nothing)");
    while let Some(line) = lines.next_line().await? {
        if let Ok(entry) = serde_json::from_str::<Value>(&line)
            && entry.get("msg").and_then(Value::as_str) == Some("listening")
            && let Some(address) = entry.get("addr").and_then(Value::as_str)
        {
            return Ok(address.to_owned());
        }
        last = line;
    }
    bail!("the last line of its log: {last}")
}

/// Reads the log to its end and keeps the last warnings.
async fn keep_warnings(mut lines: Lines<BufReader<ChildStdout>>, warnings: Arc<Mutex<VecDeque<String>>>) {
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some(warning) = warning(&line) {
            let mut warnings = warnings.lock().unwrap_or_else(PoisonError::into_inner);
            warnings.push_back(warning);
            if warnings.len() > KEPT_WARNINGS {
                warnings.pop_front();
            }
        }
    }
}

/// The message of a line of the log, and its error, if it is a warning or worse.
fn warning(line: &str) -> Option<String> {
    let entry = serde_json::from_str::<Value>(line).ok()?;
    let text = |key| entry.get(key).and_then(Value::as_str);
    entry.get("level").and_then(Value::as_u64).filter(|level| *level >= WARN)?;
    let error = text("error").map(|error| format!(" ({error})")).unwrap_or_default();
    Some(format!("{}{error}", text("msg").unwrap_or(line)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_the_messages_of_the_log() {
        let warn = |level| warning(&format!(r#"{{"level":{level},"msg":"slow","error":"no answer","room":"a"}}"#));
        assert_eq!(warn(40).as_deref(), Some("slow (no answer)"));
        assert_eq!((warn(30), warning("plain text")), (None, None));
    }
}
