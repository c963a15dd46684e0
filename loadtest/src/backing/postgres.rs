use std::{
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::Command as Blocking,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use rustix::process::{Signal, geteuid};
use tokio::time::timeout;

use super::daemon::{Daemon, find, free_port, tethered};
use crate::probe::Probe;

/// How long making an empty cluster of databases may take.
const INIT: Duration = Duration::from_mins(1);

/// Whom PostgreSQL runs as where this program is root, whom it refuses to be: the user of its package.
const USER: &str = "postgres";

/// A PostgreSQL server that nobody else uses.
#[derive(Debug)]
pub(crate) struct Postgres {
    daemon: Daemon,
    port: u16,
}

impl Postgres {
    /// Whether it is on this machine.
    pub(crate) fn is_here() -> bool {
        program("initdb").is_some() && program("postgres").is_some()
    }

    /// Makes an empty one in `folder` and starts it. Whoever connects waits until it answers. It syncs to the disk, as one that is
    /// trusted with a ledger does.
    pub(crate) async fn start(folder: &Path) -> Result<Self> {
        let missing = "PostgreSQL is missing: install it (Debian: postgresql)";
        let user = geteuid().is_root().then_some(USER);
        if let Some(user) = user {
            let (uid, gid) = ids_of(user).context("there is no user postgres")?;
            chown(folder, Some(uid), Some(gid))?;
        }
        let data = folder.join("data");
        let mut init = tethered(&program("initdb").context(missing)?, user, "TERM");
        init.args(["--auth=trust", "--no-sync", "--username=tandem", "-E", "UTF8", "--locale=C", "-D"]);
        init.arg(&data).current_dir("/").kill_on_drop(true);
        let made = timeout(INIT, init.output()).await.context("initdb takes too long")??;
        ensure!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));

        let port = free_port()?;
        let mut command = tethered(&program("postgres").context(missing)?, user, "QUIT");
        command.arg("-D").arg(&data).arg("-k").arg(folder).args(["-p", &port.to_string(), "-h", "127.0.0.1"]);
        command.current_dir("/");
        let daemon = Daemon::start("postgres", command, &folder.with_extension("log"), Signal::INT)?;
        Ok(Self { daemon, port })
    }

    /// Where it is.
    pub(crate) fn url(&self) -> String {
        format!("postgres://tandem@127.0.0.1:{}/postgres", self.port)
    }

    /// Its figures.
    pub(crate) fn probe(&self) -> Probe {
        self.daemon.probe()
    }

    /// Ends it and all its sessions.
    pub(crate) async fn stop(self) -> Result<()> {
        self.daemon.stop().await
    }
}

/// Debian keeps the server's programs out of PATH.
fn program(name: &str) -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    find(name, &versions.map(|version| version.path().join("bin")).collect::<Vec<_>>())
}

fn ids_of(user: &str) -> Option<(u32, u32)> {
    let id = |flag| {
        let output = Blocking::new("id").args([flag, user]).output().ok()?;
        String::from_utf8(output.stdout).ok()?.trim().parse().ok()
    };
    Some((id("-u")?, id("-g")?))
}
