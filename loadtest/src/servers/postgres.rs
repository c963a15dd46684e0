use std::{
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use rustix::process::{Signal, geteuid};
use tokio::time::timeout;
use tokio_postgres::NoTls;

use super::process::{Ready, Server, Spec, command, find, free_port};
use crate::measure::Process;

const INIT: Duration = Duration::from_mins(1);

/// The user that PostgreSQL runs as when this program is root, which PostgreSQL refuses to be.
const USER: &str = "postgres";

const MISSING: &str = "PostgreSQL is missing: install it (Debian: apt install postgresql)";

/// A PostgreSQL server with an empty database of its own. Its durability settings are the defaults: it syncs to disk.
#[derive(Debug)]
pub(crate) struct Postgres {
    server: Server,
}

impl Postgres {
    /// Creates a database in `folder` and starts the server.
    pub(super) async fn start(folder: &Path) -> Result<Self> {
        let (initdb, postgres) = (program("initdb").context(MISSING)?, program("postgres").context(MISSING)?);
        let user = geteuid().is_root().then_some(USER);
        if let Some(user) = user {
            let (uid, gid) = ids_of(user).context("there is no user postgres")?;
            chown(folder, Some(uid), Some(gid))?;
        }
        let data = folder.join("data");
        let mut init = command(&initdb, user, Signal::TERM);
        init.args(["--auth=trust", "--no-sync", "--username=tandem", "-E", "UTF8", "--locale=C", "-D"]);
        init.arg(&data).current_dir("/");
        let done = timeout(INIT, init.output()).await.context("initdb takes too long")??;
        ensure!(done.status.success(), "initdb: {}", String::from_utf8_lossy(&done.stderr));

        let port = free_port()?;
        let arguments = ["-D", &data.to_string_lossy(), "-k", &folder.to_string_lossy(), "-h", "127.0.0.1"];
        let arguments = arguments.into_iter().map(str::to_owned).chain(["-p".to_owned(), port.to_string()]);
        let server = Server::start(Spec {
            name: "postgres",
            program: &postgres,
            arguments: arguments.collect(),
            settings: Vec::new(),
            folder,
            user,
            stop: Signal::INT,
            ready: Ready::Port(port),
        });
        Ok(Self { server: server.await? })
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
    pub(super) async fn stop(self) -> Result<()> {
        self.server.stop().await.map(|_| ())
    }
}

/// Finds a program of the server, which Debian keeps out of PATH.
fn program(name: &str) -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    find(name, &versions.map(|version| version.path().join("bin")).collect::<Vec<_>>())
}

fn ids_of(user: &str) -> Option<(u32, u32)> {
    let id = |flag| {
        let output = Command::new("id").args([flag, user]).output().ok()?;
        String::from_utf8(output.stdout).ok()?.trim().parse().ok()
    };
    Some((id("-u")?, id("-g")?))
}
