use std::{net::TcpStream, process::Command};

use tempfile::TempDir;

use crate::{
    postgres::{Postgres, command, give_away},
    process::{Process, free_port, wait_for},
};

/// A PgBouncer with its default settings in front of a PostgreSQL.
#[derive(Debug)]
pub struct PgBouncer {
    port: u16,
    _dir: TempDir,
    _process: Process,
}

impl PgBouncer {
    pub fn start(postgres: &Postgres) -> Self {
        let (port, dir) = (free_port(), tempfile::tempdir().unwrap());
        let at = dir.path().display();
        let ini = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = trust\nauth_file = {at}/users\n",
            postgres.port()
        );
        std::fs::write(dir.path().join("pgbouncer.ini"), ini).unwrap();
        std::fs::write(dir.path().join("users"), "\"tandem\" \"\"\n").unwrap();
        give_away(dir.path());
        assert!(Command::new("chmod").arg("755").arg(dir.path()).status().unwrap().success());
        let mut start = command("pgbouncer");
        start.current_dir("/").arg(dir.path().join("pgbouncer.ini"));
        let process = Process::start(&mut start, &dir.path().join("log"));
        wait_for("PgBouncer does not answer", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Self { port, _dir: dir, _process: process }
    }

    pub fn url(&self) -> String {
        format!("postgres://tandem@127.0.0.1:{}/tandem", self.port)
    }
}
