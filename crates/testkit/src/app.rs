//! The server under test: the real binary as a child process.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::PathBuf,
    process::ExitStatus,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tempfile::TempDir;
use tokio::{
    process::Command,
    time::{Instant, sleep, timeout},
};

use crate::{
    DEADLINE,
    backing::{self, Backing},
    binary::{Output, run},
    http::{self, Reply},
    node::{Lines, LogGate, Node},
};

pub struct TestApp {
    pub(super) nodes: Vec<Node>,
    /// The node of the next client.
    turn: AtomicUsize,
    pub(super) backing: Arc<Backing>,
    env: BTreeMap<String, String>,
    pub(super) lines: Lines,
    pub(super) gate: LogGate,
    // Deleted with the last reference.
    dir: Arc<TempDir>,
}

impl TestApp {
    /// A server with the default settings.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// A server with these settings changed.
    pub async fn start_with(settings: &[(&str, &str)]) -> Self {
        let dir = Arc::new(tempfile::tempdir().unwrap());
        let mut env = BTreeMap::new();
        for (key, value) in [("HOST", "127.0.0.1"), ("PORT", "0"), ("LOG_FORMAT", "json"), ("LOG_LEVEL", "info")] {
            env.insert(key.to_owned(), value.to_owned());
        }
        env.insert("TANDEM_DATA_DIR".to_owned(), dir.path().to_str().unwrap().to_owned());
        env.extend(backing::tokens().into_iter().map(|(key, value)| (key.to_owned(), value)));
        let backing = Arc::new(Backing::start());
        env.extend(backing.env().into_iter().map(|(key, value)| (key.to_owned(), value)));
        env.extend(settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        match Self::spawn(env, dir, backing).await {
            Ok(app) => app,
            Err(why) => panic!("{why}"),
        }
    }

    async fn spawn(env: BTreeMap<String, String>, dir: Arc<TempDir>, backing: Arc<Backing>) -> Result<Self, String> {
        let (lines, gate) = (Lines::default(), LogGate::default());
        let mut nodes = Vec::new();
        for _ in 0..backing::nodes() {
            nodes.push(Node::spawn(&env, &lines, &gate).await?);
        }
        let app = Self { nodes, turn: AtomicUsize::new(0), backing, env, lines, gate, dir };
        for node in &app.nodes {
            let begun = Instant::now();
            while http::request(node.addr, "GET", "/ready", &[]).await.status != 200 {
                assert!(begun.elapsed() < DEADLINE, "never ready:\n{}", app.log());
                sleep(Duration::from_millis(5)).await;
            }
        }
        Ok(app)
    }
}

impl TestApp {
    /// Starts another process on the same data and port; the old one must have ended.
    pub async fn restart(mut self) -> Self {
        assert!(!self.is_running(), "still running");
        let mut env = self.env.clone();
        env.insert("PORT".to_owned(), self.nodes[0].addr.port().to_string());
        let begun = Instant::now();
        loop {
            // An outgoing connection may use the port for a moment.
            match Self::spawn(env.clone(), Arc::clone(&self.dir), Arc::clone(&self.backing)).await {
                Ok(app) => return app,
                Err(why) => assert!(begun.elapsed() < DEADLINE, "{why}"),
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// The address of a node, of each in turn.
    pub fn addr(&self) -> SocketAddr {
        self.nodes[self.turn.fetch_add(1, Ordering::Relaxed) % self.nodes.len()].addr
    }

    /// Limits the size of the files of the server; `None` removes the limit.
    pub async fn limit_files(&self, bytes: Option<u64>) {
        let id = self.nodes[0].child.id().expect("the server runs").to_string();
        let limit = format!("--fsize={}:", bytes.map_or("unlimited".to_owned(), |bytes| bytes.to_string()));
        let status = Command::new("prlimit").args(["--pid", &id, &limit]).status().await.unwrap();
        assert!(status.success(), "prlimit {limit}");
    }

    /// Limits the number of open files of the server.
    pub async fn limit_open_files(&self, most: u32) {
        let id = self.nodes[0].child.id().expect("the server runs").to_string();
        let status = Command::new("prlimit").args(["--pid", &id, &format!("--nofile={most}:")]).status().await.unwrap();
        assert!(status.success(), "prlimit --nofile={most}:");
    }

    pub fn ledger_file(&self) -> PathBuf {
        self.dir.path().join("tandem.db")
    }

    /// Writes the `.env` that the process reads.
    pub fn write_dot_env(&self, text: &str) {
        std::fs::write(self.dir.path().join(".env"), text).unwrap();
    }

    pub async fn sighup(&self) {
        self.signal("HUP").await;
    }

    pub async fn get(&self, target: &str) -> Reply {
        http::request(self.addr(), "GET", target, &[]).await
    }

    pub async fn http(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> Reply {
        http::request(self.addr(), method, target, headers).await
    }

    /// `HTTP GET` until the answer has this status.
    pub async fn get_until(&self, target: &str, status: u16) {
        let begun = Instant::now();
        while self.get(target).await.status != status {
            assert!(begun.elapsed() < DEADLINE, "{target} never answered {status}");
            sleep(Duration::from_millis(10)).await;
        }
    }

    pub async fn sigterm(&self) {
        self.signal("TERM").await;
    }

    /// The end of a process that has crashed.
    pub async fn abort(&self) {
        self.signal("ABRT").await;
    }

    pub async fn kill9(&mut self) {
        for node in &mut self.nodes {
            node.child.kill().await.unwrap();
        }
    }

    async fn signal(&self, name: &str) {
        for node in &self.nodes {
            let id = node.child.id().expect("the server runs");
            let sent = Command::new("sh").arg("-c").arg(format!("kill -{name} {id}")).status().await.unwrap();
            assert!(sent.success());
        }
    }

    /// Waits until the process ends by itself.
    pub async fn exit(&mut self, within: Duration) -> ExitStatus {
        let mut last = None;
        for node in 0..self.nodes.len() {
            match timeout(within, self.nodes[node].child.wait()).await {
                Ok(status) => last = Some(status.unwrap()),
                Err(elapsed) => panic!("still running: {elapsed}:\n{}", self.log()),
            }
            // Its last lines are still in the pipe.
            for reader in self.nodes[node].readers.drain(..) {
                timeout(DEADLINE, reader).await.expect("the end of the log").unwrap();
            }
        }
        last.unwrap()
    }

    pub fn is_running(&mut self) -> bool {
        self.nodes.iter_mut().any(|node| node.child.try_wait().unwrap().is_none())
    }

    /// Runs the binary with other arguments and the same settings.
    pub async fn run(&self, args: &[&str]) -> Output {
        run(&self.env, args).await
    }
}
