use std::{fs::File, net::TcpListener, path::Path, process::Stdio};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use tokio::process::{Child, Command};

use crate::{probe::Probe, process};

/// A port that nobody listens on now.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// Whether `name` is in one of the directories of PATH, or in one of `elsewhere`, and where.
pub(crate) fn find(name: &str, elsewhere: &[std::path::PathBuf]) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs: Vec<_> = std::env::split_paths(&path).chain(elsewhere.iter().cloned()).collect();
    dirs.into_iter().map(|dir| dir.join(name)).find(|program| program.is_file())
}

/// A command that is sent the signal `end` when this process is gone, however it went, and that runs as another user if one is named.
pub(crate) fn tethered(program: &Path, user: Option<&str>, end: &str) -> Command {
    let mut command = Command::new("setpriv");
    if let Some(user) = user {
        command.args([format!("--reuid={user}"), format!("--regid={user}"), "--clear-groups".to_owned()]);
    }
    command.args(["--pdeathsig", end]).arg(program);
    command
}

/// A server that tells nobody when it listens.
#[derive(Debug)]
pub(crate) struct Daemon {
    name: &'static str,
    child: Child,
    probe: Probe,
    /// What it takes for a polite word.
    end: Signal,
}

impl Daemon {
    /// Starts it; what it says goes to `log`.
    pub(crate) fn start(name: &'static str, mut command: Command, log: &Path, end: Signal) -> Result<Self> {
        let log = File::create(log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {name} (with setpriv of util-linux)"))?;
        let probe = Probe::new(child.id().context("it has ended already")?)?;
        Ok(Self { name, child, probe, end })
    }

    /// Its figures.
    pub(crate) fn probe(&self) -> Probe {
        self.probe
    }

    /// Fails when it has ended.
    pub(crate) fn check(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            Some(status) => bail!("{} ended with {status}", self.name),
            None => Ok(()),
        }
    }

    /// Ends it politely.
    pub(crate) async fn stop(mut self) -> Result<()> {
        process::stop(self.name, &mut self.child, self.end).await
    }
}
