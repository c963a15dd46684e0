use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    path::PathBuf,
    process::Command,
    time::Duration,
};

use tempfile::TempDir;

use super::process::{Process, free_port, program, wait_for};

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
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        stream.write_all(format!("{line}\r\nQUIT\r\n").as_bytes()).ok()?;
        let mut reply = String::new();
        stream.read_to_string(&mut reply).ok()?;
        Some(reply)
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
        let args = ["--save", "", "--appendonly", "no", "--cluster-enabled", "yes", "--cluster-node-timeout", "2000"];
        let nodes: Vec<_> = (0..3)
            .map(|_| {
                // The cluster's own bus is ten thousand above.
                let port = std::iter::repeat_with(free_port).find(|port| *port < 50_000).unwrap();
                Redis::on(port, &args)
            })
            .collect();
        let mut create = Command::new(program("redis-cli", &[]));
        create.args(["--cluster", "create"]).args(nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)));
        let made = create.arg("--cluster-yes").output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
        let cluster = Self { nodes };
        wait_for("the cluster does not come up", || {
            cluster.nodes.iter().all(|node| node.command("CLUSTER INFO").contains("cluster_state:ok"))
        });
        cluster
    }

    pub fn url(&self) -> String {
        self.nodes.iter().map(Redis::url).collect::<Vec<_>>().join(",")
    }

    pub fn nodes(&self) -> &[Redis] {
        &self.nodes
    }
}
