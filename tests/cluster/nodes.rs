//! The node processes of one deployment, each with its own name and port, which it keeps across restarts.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tokio::time::sleep;

use crate::backing::SECRET;
use tandem_testkit::{
    http,
    process::{DEADLINE, Process, free_port},
};

pub(crate) struct Nodes {
    all: Vec<Node>,
    env: BTreeMap<String, String>,
    dir: TempDir,
}

struct Node {
    name: String,
    port: u16,
    /// Settings of this node alone.
    own: BTreeMap<String, String>,
    process: Option<Process>,
}

impl Nodes {
    /// Starts `count` nodes, and waits until they are ready.
    pub(crate) async fn start(count: usize, settings: &[(&str, &str)]) -> Self {
        let nodes = Self::launched(count, settings);
        for number in 0..count {
            nodes.until_ready(number).await;
        }
        nodes
    }

    /// Starts `count` nodes without waiting.
    pub(crate) fn launched(count: usize, settings: &[(&str, &str)]) -> Self {
        let mut nodes = Self::idle(count, settings);
        (0..count).for_each(|number| nodes.launch(number));
        nodes
    }

    /// Prepares `count` nodes without starting them.
    pub(crate) fn idle(count: usize, settings: &[(&str, &str)]) -> Self {
        let mut env = BTreeMap::new();
        let fixed =
            [("HOST", "127.0.0.1"), ("LOG_FORMAT", "json"), ("TANDEM_SECRET", SECRET), ("MESSAGE_BURST", "10000")];
        for (key, value) in fixed.iter().chain(settings) {
            env.insert((*key).to_owned(), (*value).to_owned());
        }
        let node =
            |number| Node { name: format!("node-{number}"), port: free_port(), own: BTreeMap::new(), process: None };
        Self { all: (0..count).map(node).collect(), env, dir: tempfile::tempdir().unwrap() }
    }

    /// Changes a setting of one node, from its next start on.
    pub(crate) fn set(&mut self, number: usize, key: &str, value: &str) {
        self.all[number].own.insert(key.to_owned(), value.to_owned());
    }

    pub(crate) fn launch(&mut self, number: usize) {
        let log = self.log_file(number);
        let node = &mut self.all[number];
        let mut command = Command::new(env!("CARGO_BIN_EXE_tandem"));
        command.arg("serve").env_clear().envs(&self.env).envs(&node.own).current_dir(self.dir.path());
        command.env("PORT", node.port.to_string());
        if !node.own.contains_key("NODE_ID") {
            command.env("NODE_ID", &node.name);
        }
        node.process = Some(Process::start(&mut command, &log));
    }

    pub(crate) async fn until_ready(&self, number: usize) {
        self.until_status(number, "/ready", 200).await;
    }

    pub(crate) async fn until_status(&self, number: usize, path: &str, status: u16) {
        let begun = Instant::now();
        while self.status(number, path).await != Some(status) {
            assert!(begun.elapsed() < DEADLINE, "{path} is never {status}:\n{}", self.log(number));
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// `None` while the node does not listen.
    pub(crate) async fn status(&self, number: usize, path: &str) -> Option<u16> {
        if !tandem_testkit::process::listens(self.all[number].port) {
            return None;
        }
        Some(http::request(self.addr(number), "GET", path, &[]).await.status)
    }

    /// The value of a metric, by its name and labels as in the text.
    pub(crate) async fn metric(&self, number: usize, name: &str) -> f64 {
        let text = http::request(self.addr(number), "GET", "/metrics", &[]).await;
        let text = text.body;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in\n{text}")).parse().unwrap()
    }

    /// Waits until a metric is at least this.
    pub(crate) async fn until_metric(&self, number: usize, name: &str, least: f64) {
        let begun = Instant::now();
        loop {
            let is = self.metric(number, name).await;
            if is >= least {
                return;
            }
            assert!(begun.elapsed() < DEADLINE, "{name} is {is}, not {least}:\n{}", self.log(number));
            sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn addr(&self, number: usize) -> SocketAddr {
        ([127, 0, 0, 1], self.all[number].port).into()
    }

    pub(crate) fn addrs(&self) -> Vec<SocketAddr> {
        (0..self.all.len()).map(|number| self.addr(number)).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    pub(crate) fn kill(&mut self, number: usize) {
        self.all[number].process.take().unwrap().kill();
    }

    pub(crate) fn signal(&self, number: usize, name: &str) {
        self.all[number].process.as_ref().unwrap().signal(name);
    }

    pub(crate) fn is_running(&mut self, number: usize) -> bool {
        self.all[number].process.as_mut().is_some_and(Process::is_running)
    }

    /// Waits for the end. Returns the exit code.
    pub(crate) async fn ended(&mut self, number: usize) -> Option<i32> {
        let begun = Instant::now();
        while self.is_running(number) {
            assert!(begun.elapsed() < DEADLINE, "it does not end:\n{}", self.log(number));
            sleep(Duration::from_millis(20)).await;
        }
        self.all[number].process.take().and_then(|mut process| process.code())
    }

    /// Sends SIGTERM and waits for the end. Returns how long that took.
    pub(crate) async fn drain(&mut self, number: usize) -> Duration {
        let begun = Instant::now();
        self.signal(number, "TERM");
        while self.is_running(number) {
            assert!(begun.elapsed() < DEADLINE, "it does not end:\n{}", self.log(number));
            sleep(Duration::from_millis(20)).await;
        }
        self.all[number].process = None;
        begun.elapsed()
    }

    fn log_file(&self, number: usize) -> PathBuf {
        self.dir.path().join(format!("{}.log", self.all[number].name))
    }

    /// Waits until the log of a node says this. It is written a moment after what it is about.
    pub(crate) async fn until_it_says(&self, number: usize, what: &str) {
        let begun = Instant::now();
        while !self.log(number).contains(what) {
            assert!(begun.elapsed() < DEADLINE, "it never says {what:?}:\n{}", self.log(number));
            sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn log(&self, number: usize) -> String {
        std::fs::read_to_string(self.log_file(number)).unwrap_or_default()
    }
}
