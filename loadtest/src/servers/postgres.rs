use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use rustix::process::{Signal, geteuid};
use tokio::time::timeout;
use tokio_postgres::NoTls;

use super::process::{Server, command, find, free_port};
use crate::measure::Process;

const INIT: Duration = Duration::from_mins(1);

/// The user that PostgreSQL runs as when this program is root, which PostgreSQL refuses to be.
const USER: &str = "postgres";

const MISSING: &str = "PostgreSQL is missing: install it (Debian: apt install postgresql)";

/// A PostgreSQL server with an empty database. Its durability settings are the defaults: it syncs to disk.
#[derive(Debug)]
pub(crate) struct Postgres {
    server: Server,
}

impl Postgres {
    /// Creates a database in `folder` and starts the server.
    pub(super) async fn start(folder: &Path) -> Result<Self> {
        let (initdb, postgres) = (program("initdb").context(MISSING)?, program("postgres").context(MISSING)?);
        std::fs::create_dir_all(folder)?;
        let user = geteuid().is_root().then_some(USER);
        if let Some(user) = user {
            let given = Command::new("chown").arg(format!("{user}:{user}")).arg(folder).status()?;
            ensure!(given.success(), "there is no user {user}");
        }
        let data = folder.join("data");
        let mut init = command(&initdb, user, Signal::TERM);
        init.args(["--auth=trust", "--no-sync", "--username=tandem", "-E", "UTF8", "--locale=C", "-D"]);
        init.arg(&data).current_dir("/");
        let done = timeout(INIT, init.output()).await.context("initdb takes too long")??;
        ensure!(done.status.success(), "initdb: {}", String::from_utf8_lossy(&done.stderr));

        let port = free_port()?;
        let mut server = command(&postgres, user, Signal::INT);
        server.arg("-D").arg(&data).arg("-k").arg(folder).args(["-h", "127.0.0.1", "-p", &port.to_string()]);
        Ok(Self { server: Server::start("postgres", server, folder, port, Signal::INT).await? })
    }

    pub(crate) fn url(&self) -> String {
        format!("postgres://tandem@{}/postgres", self.server.address())
    }

    pub(super) fn process(&self) -> Process {
        self.server.process()
    }

    /// The settings that decide how durable a commit is, for the report.
    pub(crate) async fn durability(&self) -> Result<String> {
        let (client, connection) = tokio_postgres::connect(&self.url(), NoTls).await?;
        let connection = tokio::spawn(connection);
        let mut settings = Vec::new();
        for name in ["fsync", "synchronous_commit"] {
            let row = client.query_one(&format!("SHOW {name}"), &[]).await?;
            settings.push(format!("{name} {}", row.try_get::<_, String>(0)?));
        }
        drop(client);
        connection.await??;
        Ok(settings.join(", "))
    }

    /// Stops it and closes all its sessions.
    pub(super) async fn stop(mut self) -> Result<()> {
        self.server.stop().await
    }
}

/// Finds a program of the server, which Debian keeps out of PATH.
fn program(name: &str) -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    find(name, &versions.map(|version| version.path().join("bin")).collect::<Vec<_>>())
}
