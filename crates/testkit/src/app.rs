//! The server under test: the real binary as a child process.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use crate::{
    DEADLINE,
    backing::{self, Backing},
    http::{self, Reply},
    process::tandem,
};

type Lines = Arc<Mutex<Vec<String>>>;

/// Whoever holds it keeps the log from being read.
type Hush = Arc<tokio::sync::Mutex<()>>;

pub struct TestApp {
    nodes: Vec<Node>,
    /// The node of the next client.
    turn: AtomicUsize,
    backing: Arc<Backing>,
    env: BTreeMap<String, String>,
    lines: Lines,
    hush: Hush,
    // Deleted when the last one goes.
    dir: Arc<TempDir>,
}

struct Node {
    child: Child,
    addr: SocketAddr,
    /// What takes down its words; at their end with the process.
    readers: Vec<JoinHandle<()>>,
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
        let backing = Arc::new(Backing::start());
        env.extend(backing.env().into_iter().map(|(key, value)| (key.to_owned(), value)));
        env.extend(settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        match Self::spawn(env, dir, backing).await {
            Ok(app) => app,
            Err(why) => panic!("{why}"),
        }
    }

    async fn spawn(env: BTreeMap<String, String>, dir: Arc<TempDir>, backing: Arc<Backing>) -> Result<Self, String> {
        let (lines, hush) = (Lines::default(), Hush::default());
        let mut nodes = Vec::new();
        for _ in 0..backing::nodes() {
            nodes.push(Node::spawn(&env, &lines, &hush).await?);
        }
        let app = Self { nodes, turn: AtomicUsize::new(0), backing, env, lines, hush, dir };
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

impl Node {
    async fn spawn(env: &BTreeMap<String, String>, all: &Lines, hush: &Hush) -> Result<Self, String> {
        let mut child = command(env, &["serve"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", tandem().display()));
        let lines = Lines::default();
        let readers = vec![
            collect(child.stdout.take().unwrap(), &[&lines, all], hush),
            collect(child.stderr.take().unwrap(), &[&lines, all], hush),
        ];
        let begun = Instant::now();
        loop {
            if let Some(addr) = listening(&lines) {
                return Ok(Self { child, addr, readers });
            }
            let ended = child.try_wait().unwrap();
            if ended.is_some() || begun.elapsed() > 2 * DEADLINE {
                // Let the last lines arrive.
                sleep(Duration::from_millis(100)).await;
                let said = lines.lock().unwrap().join("\n");
                return Err(format!("the server did not start ({ended:?}):\n{said}"));
            }
            sleep(Duration::from_millis(5)).await;
        }
    }
}

impl TestApp {
    /// Another process on the same data and the same port; the old one must have ended.
    pub async fn restart(mut self) -> Self {
        assert!(!self.is_running(), "still running");
        let mut env = self.env.clone();
        env.insert("PORT".to_owned(), self.nodes[0].addr.port().to_string());
        let begun = Instant::now();
        loop {
            // Somebody's outgoing connection may sit on the port for a moment.
            match Self::spawn(env.clone(), Arc::clone(&self.dir), Arc::clone(&self.backing)).await {
                Ok(app) => return app,
                Err(why) => assert!(begun.elapsed() < DEADLINE, "{why}"),
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Of one node after the other.
    pub fn addr(&self) -> SocketAddr {
        self.nodes[self.turn.fetch_add(1, Ordering::Relaxed) % self.nodes.len()].addr
    }

    /// How large a file of the server may become: `None` for as large as it likes.
    pub async fn limit_files(&self, bytes: Option<u64>) {
        let id = self.nodes[0].child.id().expect("the server runs").to_string();
        let limit = format!("--fsize={}:", bytes.map_or("unlimited".to_owned(), |bytes| bytes.to_string()));
        let status = Command::new("prlimit").args(["--pid", &id, &limit]).status().await.unwrap();
        assert!(status.success(), "prlimit {limit}");
    }

    /// How many files the server may have open from now on.
    pub async fn limit_open_files(&self, most: u32) {
        let id = self.nodes[0].child.id().expect("the server runs").to_string();
        let status = Command::new("prlimit").args(["--pid", &id, &format!("--nofile={most}:")]).status().await.unwrap();
        assert!(status.success(), "prlimit --nofile={most}:");
    }

    pub fn ledger_file(&self) -> PathBuf {
        self.dir.path().join("tandem.db")
    }

    /// Everything the process said so far.
    pub fn log(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }

    /// The log as objects.
    pub fn log_lines(&self) -> Vec<Value> {
        self.lines.lock().unwrap().iter().map(|line| serde_json::from_str(line).expect(line)).collect()
    }

    /// The first log line that has all of these fields, as soon as it is there.
    pub async fn log_line(&self, fields: Value) -> Value {
        let begun = Instant::now();
        loop {
            let fits = |line: &Value| fields.as_object().unwrap().iter().all(|(key, value)| line[key] == *value);
            if let Some(line) = self.log_lines().into_iter().find(fits) {
                return line;
            }
            assert!(begun.elapsed() < DEADLINE, "no line has {fields}:\n{}", self.log());
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Reads nothing of what the process says until the guard is dropped.
    pub async fn stop_reading_its_log(&self) -> tokio::sync::OwnedMutexGuard<()> {
        Arc::clone(&self.hush).lock_owned().await
    }

    pub async fn sighup(&self) {
        self.signal("HUP").await;
    }

    /// What the process says comes through a pipe, a little later than what it does.
    pub async fn until_it_says(&self, what: &str) {
        let begun = Instant::now();
        while !self.log().contains(what) {
            assert!(begun.elapsed() < DEADLINE, "it never says {what:?}:\n{}", self.log());
            sleep(Duration::from_millis(10)).await;
        }
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

    /// How the process ended, by itself.
    pub async fn exit(&mut self, within: Duration) -> ExitStatus {
        let mut last = None;
        for node in 0..self.nodes.len() {
            match timeout(within, self.nodes[node].child.wait()).await {
                Ok(status) => last = Some(status.unwrap()),
                Err(elapsed) => panic!("still running: {elapsed}:\n{}", self.log()),
            }
            // Its last words are still in the pipe.
            for reader in self.nodes[node].readers.drain(..) {
                timeout(DEADLINE, reader).await.expect("the end of what it says").unwrap();
            }
        }
        last.unwrap()
    }

    pub fn is_running(&mut self) -> bool {
        self.nodes.iter_mut().any(|node| node.child.try_wait().unwrap().is_none())
    }

    /// The binary with other arguments and the same settings.
    pub async fn run(&self, args: &[&str]) -> Output {
        run(&self.env, args).await
    }

    /// `tandem audit events ... --format json`, as a list.
    pub async fn audit(&self, args: &[&str]) -> Vec<Value> {
        if let Some(events) = self.backing.events().await {
            let wanted = |event: &Value| {
                args.chunks(2).all(|option| match option {
                    ["--room", room] => event["room_id"] == **room,
                    ["--type", kind] => event["event_type"] == **kind,
                    ["--user", user] => event["user_id"] == **user,
                    _ => panic!("{args:?}"),
                })
            };
            return events.into_iter().filter(wanted).collect();
        }
        let all: Vec<&str> = ["audit", "events"].iter().chain(args).chain(&["--format", "json"]).copied().collect();
        let output = self.run(&all).await;
        assert_eq!(output.code, Some(0), "{output:?}");
        events(&output.stdout)
    }

    /// The events, as soon as there are `count` of them: the ledger is written a little later than the room.
    pub async fn audit_until(&self, args: &[&str], count: usize) -> Vec<Value> {
        let begun = Instant::now();
        loop {
            let events = self.audit(args).await;
            if events.len() >= count {
                return events;
            }
            assert!(begun.elapsed() < DEADLINE, "{} of {count} events: {events:#?}", events.len());
            sleep(Duration::from_millis(50)).await;
        }
    }
}

#[derive(Debug)]
pub struct Output {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// The binary with exactly this environment, to its end.
pub async fn run(env: &BTreeMap<String, String>, args: &[&str]) -> Output {
    let running = command(env, args).stdin(Stdio::null()).kill_on_drop(true).output();
    let output = timeout(2 * DEADLINE, running).await.unwrap_or_else(|_| panic!("{args:?} does not end")).unwrap();
    Output {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A list, or one object per line.
fn events(text: &str) -> Vec<Value> {
    if let Ok(Value::Array(list)) = serde_json::from_str(text) {
        return list;
    }
    text.lines().filter(|line| !line.trim().is_empty()).map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn command(env: &BTreeMap<String, String>, args: &[&str]) -> Command {
    // What ends a process whose file may not grow is ignored, so that writing fails instead, as on a full disk.
    let mut command = Command::new("sh");
    // Some tests give it few files from the start on.
    let limit = env.get("TEST_OPEN_FILES").map_or(String::new(), |most| format!("ulimit -n {most}; "));
    let script = format!("trap '' XFSZ; {limit}exec \"$0\" \"$@\"");
    command.env_clear().args(["-c", &script]).arg(tandem()).args(args).envs(env);
    // Not here: a developer's `.env` is no part of the test.
    if let Some(dir) = env.get("TANDEM_DATA_DIR") {
        command.current_dir(dir);
    }
    if let Ok(path) = std::env::var("PATH") {
        command.env("PATH", path);
    }
    command
}

fn collect(stream: impl AsyncRead + Send + Unpin + 'static, to: &[&Lines], hush: &Hush) -> JoinHandle<()> {
    let hush = Arc::clone(hush);
    let to: Vec<_> = to.iter().map(|lines| Arc::clone(lines)).collect();
    tokio::spawn(async move {
        let mut reader = BufReader::new(stream).lines();
        while let Ok(Some(line)) = reader.next_line().await {
            drop(hush.lock().await);
            for lines in &to {
                lines.lock().unwrap().push(line.clone());
            }
        }
    })
}

fn listening(lines: &Lines) -> Option<SocketAddr> {
    lines.lock().unwrap().iter().find_map(|line| {
        let line: Value = serde_json::from_str(line).ok()?;
        if line["msg"] == "listening" { line["addr"].as_str()?.parse().ok() } else { None }
    })
}
