use std::process::Command;

use tempfile::TempDir;

use crate::{
    certificates::Certificates,
    process::{Process, free_port, program, wait_for},
    redis::Redis,
    redis_inline::ask,
};

/// A master named `film`, a replica, and three sentinels.
#[derive(Debug)]
pub struct Sentinel {
    master: Redis,
    _replica: Redis,
    url: String,
    _watchers: Vec<(Process, TempDir)>,
}

impl Sentinel {
    pub fn start() -> Self {
        Self::with("", "", &[], None)
    }

    /// Sentinels that ask for a password, watching over servers that ask for another one.
    pub fn with_passwords(sentinels: &str, servers: &str) -> Self {
        Self::with(sentinels, servers, &[], None)
    }

    /// All of them use TLS; the plain port is for this test.
    pub fn over_tls(certificates: &Certificates) -> Self {
        Self::with("", "", &[], Some(certificates))
    }

    /// Without passwords where they are empty. `more` are settings of the sentinels.
    pub fn with(password: &str, servers: &str, more: &[&str], tls: Option<&Certificates>) -> Self {
        let secured = ["--requirepass", servers, "--masterauth", servers];
        let own = if servers.is_empty() { &[][..] } else { &secured };
        let begin = |args: &[&str], secure: u16| {
            let secure = tls.map(|tls| tls.settings(secure)).unwrap_or_default();
            let secure: Vec<String> =
                secure.iter().flat_map(|(name, value)| [format!("--{name}"), value.clone()]).collect();
            let secure: Vec<&str> = secure.iter().map(String::as_str).collect();
            let args = [&["--save", "", "--appendonly", "no"], args, own, &secure].concat();
            if servers.is_empty() { Redis::with(&args) } else { Redis::with_password(free_port(), &args, servers) }
        };
        let secure: Vec<u16> = (0..5).map(|_| free_port()).collect();
        let master = begin(&[], secure[0]);
        let (watched, found) = if tls.is_some() { (secure[0], secure[1]) } else { (master.port(), 0) };
        let replica = begin(&["--replicaof", "127.0.0.1", &watched.to_string()], secure[1]);
        let found = if found == 0 { replica.port() } else { found };
        let login = |password: &str| if password.is_empty() { String::new() } else { format!("AUTH {password}\r\n") };
        // Sentinels that find the replica at once need no second look, ten seconds later.
        wait_for("the replica does not follow", || {
            ask(replica.port(), &format!("{}INFO replication", login(servers))).contains("master_link_status:up")
        });
        let ports: Vec<u16> = (0..3).map(|_| free_port()).collect();
        let mut settings: Vec<String> = more.iter().map(|line| (*line).to_owned()).collect();
        if !password.is_empty() {
            settings.push(format!("requirepass {password}"));
        }
        if !servers.is_empty() {
            settings.push(format!("sentinel auth-pass film {servers}"));
        }
        let watchers = ports.iter().zip(&secure[2..]).map(|(port, secure)| {
            let tls = tls.map(|tls| tls.settings(*secure)).unwrap_or_default();
            let tls = tls.into_iter().map(|(name, value)| format!("{name} {value}"));
            watcher(*port, watched, &settings.iter().cloned().chain(tls).collect::<Vec<_>>())
        });
        let watchers: Vec<_> = watchers.collect();
        let asked = |port: u16, line: &str| ask(port, &format!("{}{line}", login(password)));
        wait_for("the sentinels do not find each other", || {
            ports.iter().all(|port| asked(*port, "SENTINEL ckquorum film").contains("OK 3 usable"))
                && ports.iter().all(|port| asked(*port, "SENTINEL replicas film").contains(&found.to_string()))
        });
        let url = match tls {
            Some(_) => {
                secure[2..].iter().map(|port| format!("rediss://localhost:{port}")).collect::<Vec<_>>().join(",")
            }
            None => ports.iter().map(|port| format!("redis://127.0.0.1:{port}")).collect::<Vec<_>>().join(","),
        };
        Self { master, _replica: replica, url, _watchers: watchers }
    }

    pub fn url(&self) -> String {
        self.url.clone()
    }

    pub fn kill_master(&mut self) {
        self.master.kill();
    }
}

fn watcher(port: u16, master: u16, more: &[String]) -> (Process, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("sentinel.conf");
    let text = format!(
        "port {port}\nbind 127.0.0.1\ndir {}\nsentinel monitor film 127.0.0.1 {master} 2\n\
         sentinel down-after-milliseconds film 1000\nsentinel failover-timeout film 5000\n{}\n",
        dir.path().display(),
        more.join("\n"),
    );
    std::fs::write(&file, text).unwrap();
    let mut command = Command::new(program("redis-server", &[]));
    command.arg(&file).arg("--sentinel");
    (Process::start(&mut command, &dir.path().join("log")), dir)
}
