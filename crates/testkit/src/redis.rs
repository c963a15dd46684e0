use std::{path::PathBuf, process::Command};

use tempfile::TempDir;

use crate::{
    process::{DEADLINE, Process, free_port, program, wait_for},
    redis_inline::{SOON, try_ask},
};
pub use crate::{redis_cluster::Cluster, sentinel::Sentinel};

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

    /// With an append-only file that is synced before each answer.
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

    /// With a password; commands must begin with AUTH.
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

    /// Runs an inline command.
    pub fn command(&self, line: &str) -> String {
        try_ask(self.port, line, DEADLINE).unwrap_or_else(|error| {
            let log = std::fs::read_to_string(self.log()).unwrap_or_default();
            panic!("redis does not answer {line}: {error}\n{log}")
        })
    }

    pub(super) fn try_command(&self, line: &str) -> Option<String> {
        try_ask(self.port, line, SOON).ok()
    }

    /// Stops the process until [`Redis::resume`]: clients get no answers, and their connections stay open.
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

    /// Restarts the server with its data.
    pub fn restart(&mut self) {
        self.process = spawn(self.port, &self.dir, &self.args);
        self.wait();
    }

    /// Restarts the server, and waits only until it answers: it may still be loading.
    pub fn restart_loading(&mut self) {
        self.process = spawn(self.port, &self.dir, &self.args);
        wait_for("redis does not answer", || self.try_command("PING").is_some());
    }

    /// Restarts the server without data.
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
