use std::{
    fs::{File, read_to_string},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    net::TcpStream,
    process::{Child, Command},
    time::{sleep, timeout},
};

use crate::measure::Process;

const START: Duration = Duration::from_secs(20);

/// Limit for a server to exit after its signal.
const STOP: Duration = Duration::from_secs(30);

const POLL: Duration = Duration::from_millis(20);

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

/// A command without any environment, whose process gets the signal `stop` when this process ends for any reason. It may run as another
/// user.
pub(super) fn command(program: &Path, user: Option<&str>, stop: Signal) -> Command {
    let mut command = Command::new("setpriv");
    if let Some(user) = user {
        command.args([format!("--reuid={user}"), format!("--regid={user}"), "--clear-groups".to_owned()]);
    }
    command
        .args(["--pdeathsig", if stop == Signal::INT { "INT" } else { "TERM" }])
        .arg(program)
        .env_clear()
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// A server process that was started here and ends with this value.
#[derive(Debug)]
pub(super) struct Server {
    name: &'static str,
    child: Child,
    process: Process,
    address: SocketAddr,
    stop: Signal,
}

impl Server {
    /// Starts a server, which is to listen on a port of 127.0.0.1, and waits until it accepts connections. `folder` is its working
    /// directory and gets its log, and `stop` is the signal for a graceful stop.
    pub(super) async fn start(
        name: &'static str,
        mut command: Command,
        folder: &Path,
        port: u16,
        stop: Signal,
    ) -> Result<Self> {
        let log = folder.join(format!("{name}-{port}.log"));
        let file = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        command.current_dir(folder).stdout(file.try_clone()?).stderr(file);
        let mut child = command.spawn().context("cannot start a server: is `setpriv` (util-linux) installed?")?;
        let process = Process::new(child.id().context("it has already ended")?)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let last = || read_to_string(&log).unwrap_or_default().lines().last().unwrap_or_default().to_owned();
        accepting(address, &mut child).await.with_context(|| format!("{name} did not start: {}", last()))?;
        Ok(Self { name, child, process, address, stop })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn process(&self) -> Process {
        self.process
    }

    /// Ends it without a chance to tell anybody.
    pub(super) async fn kill(&mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Stops it gracefully.
    pub(super) async fn stop(&mut self) -> Result<()> {
        let status = self.end().await?;
        ensure!(status.success(), "{} ended with {status}", self.name);
        Ok(())
    }

    /// Stops it gracefully, or as gracefully as it can. Returns whether it had to cut its stop short, because it took too long.
    pub(super) async fn stop_or_cut_short(&mut self) -> Result<bool> {
        let status = self.end().await?;
        ensure!(matches!(status.code(), Some(0 | 1)), "{} ended with {status}", self.name);
        Ok(!status.success())
    }

    async fn end(&mut self) -> Result<ExitStatus> {
        if let Some(pid) = self.child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)) {
            kill_process(pid, self.stop)?;
        }
        let Ok(status) = timeout(STOP, self.child.wait()).await else {
            self.child.kill().await?;
            bail!("{} did not exit within {STOP:?} of {:?}", self.name, self.stop);
        };
        Ok(status?)
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
