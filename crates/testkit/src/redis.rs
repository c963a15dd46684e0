use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    path::PathBuf,
    process::Command,
    time::Duration,
};

use tempfile::TempDir;

use crate::certificates::Certificates;
use crate::process::{Process, free_port, program, wait_for};

/// A `redis-server`.
#[derive(Debug)]
pub struct Redis {
    port: u16,
    dir: TempDir,
    args: Vec<String>,
    process: Process,
}

impl Redis {
    /// Without persistence.
    pub fn start() -> Self {
        Self::with(&["--save", "", "--appendonly", "no"])
    }

    /// One that keeps every command that it has answered.
    pub fn durable() -> Self {
        Self::with(&["--save", "", "--appendonly", "yes", "--appendfsync", "always"])
    }

    pub fn with(args: &[&str]) -> Self {
        Self::on(free_port(), args)
    }

    pub fn on(port: u16, args: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let process = spawn(port, &dir, &args);
        let redis = Self { port, dir, args, process };
        redis.wait();
        redis
    }

    /// One that asks for a password. Only commands that begin with AUTH get anywhere.
    pub fn with_password(port: u16, args: &[&str], password: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let process = spawn(port, &dir, &args);
        let redis = Self { port, dir, args, process };
        let ping = format!("AUTH \"{password}\"\r\nPING");
        wait_for("redis does not answer", || redis.try_command(&ping).is_some_and(|reply| reply.contains("PONG")));
        redis
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub fn log(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    fn wait(&self) {
        wait_for("redis does not answer", || self.try_command("PING").is_some_and(|reply| reply.contains("PONG")));
    }

    /// An inline command; what comes back within a moment.
    pub fn command(&self, line: &str) -> String {
        self.try_command(line).unwrap_or_else(|| panic!("redis does not answer {line}"))
    }

    fn try_command(&self, line: &str) -> Option<String> {
        try_ask(self.port, line)
    }

    /// Does nothing until [`Redis::resume`]: clients see neither answers nor an end.
    pub fn pause(&self) {
        self.process.signal("STOP");
    }

    pub fn resume(&self) {
        self.process.signal("CONT");
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// SIGTERM.
    pub fn stop(&mut self) {
        self.process.stop();
    }

    /// Starts it anew, with what it has kept.
    pub fn restart(&mut self) {
        self.process = spawn(self.port, &self.dir, &self.args);
        self.wait();
    }

    /// Starts it anew, and waits only until it answers: it may still be loading.
    pub fn restart_loading(&mut self) {
        self.process = spawn(self.port, &self.dir, &self.args);
        wait_for("redis does not answer", || self.try_command("PING").is_some());
    }

    /// Starts it anew, empty.
    pub fn restart_empty(&mut self) {
        for entry in std::fs::read_dir(self.dir.path()).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                std::fs::remove_dir_all(path).unwrap();
            } else if !path.ends_with("log") {
                std::fs::remove_file(path).unwrap();
            }
        }
        self.restart();
    }
}

fn spawn(port: u16, dir: &TempDir, args: &[String]) -> Process {
    let mut command = Command::new(program("redis-server", &[]));
    command
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--dir", dir.path().to_str().unwrap()])
        .args(args);
    Process::start(&mut command, &dir.path().join("log"))
}

/// A Redis Cluster of three masters.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Redis>,
}

impl Cluster {
    pub fn start() -> Self {
        Self::of(3, "0")
    }

    /// With a replica for each.
    pub fn with_replicas() -> Self {
        Self::of(6, "1")
    }

    fn of(count: usize, replicas: &str) -> Self {
        // Only where there is somebody to take over it matters how soon; elsewhere one that has to wait for a processor must not be
        // taken for dead.
        let dead_after = if replicas == "0" { "15000" } else { "1000" };
        let args =
            ["--save", "", "--appendonly", "no", "--cluster-enabled", "yes", "--cluster-node-timeout", dead_after];
        let nodes: Vec<_> = (0..count).map(|_| Redis::on(free_port(), &args)).collect();
        let mut create = Command::new(program("redis-cli", &[]));
        create.args(["--cluster", "create"]).args(nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)));
        let made = create.args(["--cluster-replicas", replicas, "--cluster-yes"]).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
        let cluster = Self { nodes };
        wait_for("the cluster does not come up", || {
            cluster.nodes.iter().all(|node| {
                let known = node.try_command("CLUSTER NODES").unwrap_or_default();
                node.try_command("CLUSTER INFO").is_some_and(|info| info.contains("cluster_state:ok"))
                    && in_step(node)
                    && known.lines().filter(|line| line.contains(" connected")).count() >= count
            })
        });
        cluster
    }

    pub fn url(&self) -> String {
        self.nodes.iter().map(Redis::url).collect::<Vec<_>>().join(",")
    }

    /// An inline command to one of its servers.
    pub fn command(&self, number: usize, line: &str) -> String {
        self.nodes[number].command(line)
    }

    /// Which of its servers has a key.
    pub fn owner_of(&self, key: &str) -> usize {
        let owns = |node: &Redis| !node.command(&format!("HGETALL \"{key}\"")).contains("MOVED");
        self.nodes.iter().position(owns).unwrap()
    }

    pub fn kill(&mut self, number: usize) {
        self.nodes[number].kill();
    }
}

/// Whether a replica has all that its master has: only then it can take over.
fn in_step(node: &Redis) -> bool {
    let copies = node.try_command("INFO replication").unwrap_or_default();
    copies.contains("role:master") || copies.contains("master_link_status:up")
}

/// A master called `film`, a replica, and three sentinels that watch over them.
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

    /// All of them speak TLS, beside the plain word that this test has for them.
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
        // Sentinels that find it there need not look again, ten seconds later.
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

fn ask(port: u16, line: &str) -> String {
    try_ask(port, line).unwrap_or_default()
}

const NO_QUIT: &[u8] = b"unknown command 'QUIT'";

fn try_ask(port: u16, line: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    stream.write_all(format!("{line}\r\nQUIT\r\n").as_bytes()).ok()?;
    let (mut reply, mut some) = (Vec::new(), vec![0; 65_536]);
    let ended = loop {
        match stream.read(&mut some) {
            Ok(0) => break true,
            Ok(length) => reply.extend_from_slice(&some[..length]),
            Err(_) => break false,
        }
        // Sentinels do not know QUIT, and say so.
        if reply.windows(NO_QUIT.len()).any(|it| it == NO_QUIT) {
            break true;
        }
    };
    (ended || !reply.is_empty()).then(|| String::from_utf8_lossy(&reply).into_owned())
}
