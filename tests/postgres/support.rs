//! A deployment: Redis, PostgreSQL, and workers.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use redis::Connection;
use serde_json::Value;
use tandem::{
    backend::{
        Layout,
        records::{Codec, encode_entry},
    },
    ledger::Entry,
};
use tempfile::TempDir;

use tandem_testkit::{postgres::Postgres, process::Process, redis::Redis};

const BINARY: &str = env!("CARGO_BIN_EXE_tandem");
/// The deadline for everything that a test expects; only a broken program takes longer.
pub const DEADLINE: Duration = Duration::from_mins(2);
const PARTITIONS: u16 = 4;

pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < DEADLINE, "never: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

pub struct Cluster {
    pub redis: Redis,
    pub postgres: Postgres,
    pub env: BTreeMap<String, String>,
    dir: TempDir,
}

#[derive(Debug)]
pub struct Output {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Cluster {
    /// Migrated; no worker yet.
    pub fn start() -> Self {
        let cluster = Self::bare();
        let output = cluster.run(&["migrate"]);
        assert_eq!(output.code, Some(0), "{output:?}");
        cluster
    }

    pub fn bare() -> Self {
        Self::of(Redis::start(), Postgres::start())
    }

    pub fn of(redis: Redis, postgres: Postgres) -> Self {
        let mut env = BTreeMap::new();
        for (name, value) in [
            ("REDIS_URL", redis.url()),
            ("DATABASE_URL", postgres.url()),
            ("REDIS_PARTITIONS", PARTITIONS.to_string()),
            ("REDIS_TIMEOUT_SECONDS", "1".to_owned()),
            ("POSTGRES_TIMEOUT_SECONDS", "1".to_owned()),
            ("WORKER_PORT", "0".to_owned()),
            ("WORKER_CLAIM_SECONDS", "3".to_owned()),
            ("HOST", "127.0.0.1".to_owned()),
            ("LOG_FORMAT", "json".to_owned()),
        ] {
            env.insert(name.to_owned(), value);
        }
        Self { redis, postgres, env, dir: tempfile::tempdir().unwrap() }
    }

    pub fn layout() -> Layout {
        Layout::new("tandem:", PARTITIONS)
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.env.insert(name.to_owned(), value.to_owned());
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command.env_clear().args(args).envs(&self.env).current_dir(self.dir.path());
        command
    }

    /// The binary, to its end.
    pub fn run(&self, args: &[&str]) -> Output {
        let output = self.command(args).stdin(Stdio::null()).output().unwrap();
        Output {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    pub fn worker(&self) -> Worker {
        Worker::start(self, &[])
    }

    pub fn redis(&self) -> Connection {
        redis::Client::open(self.redis.url()).unwrap().get_connection().unwrap()
    }

    /// Appends entries as nodes do.
    pub fn append(&self, entries: &[Entry]) {
        let texts: Vec<_> = entries
            .iter()
            .map(|entry| (Self::layout().partition(&entry.update.room), encode_entry(entry, &Codec::default())))
            .collect();
        let mut redis = self.redis();
        for some in texts.chunks(1_000) {
            let mut pipe = redis::pipe();
            for (partition, text) in some {
                pipe.cmd("XADD").arg(Self::layout().events(*partition)).arg("*").arg("e").arg(text).ignore();
            }
            pipe.query::<()>(&mut redis).unwrap();
        }
    }

    pub fn append_text(&self, partition: u16, text: &str) -> String {
        redis::cmd("XADD")
            .arg(Self::layout().events(partition))
            .arg("*")
            .arg("e")
            .arg(text)
            .query(&mut self.redis())
            .unwrap()
    }

    /// Entries that are not in PostgreSQL yet.
    pub fn waiting(&self) -> usize {
        let mut redis = self.redis();
        (0..PARTITIONS)
            .map(|partition| {
                redis::cmd("XLEN").arg(Self::layout().events(partition)).query::<usize>(&mut redis).unwrap()
            })
            .sum()
    }

    pub fn events(&self) -> usize {
        usize::try_from(self.postgres.number("SELECT count(*) FROM room_events")).unwrap()
    }

    /// All there, none twice, none left in Redis.
    pub fn settled(&self, entries: &[Entry]) {
        until("everything is in PostgreSQL", || self.waiting() == 0);
        let mut ids: Vec<String> = entries.iter().flat_map(Entry::events).map(|event| event.id.to_string()).collect();
        ids.sort_unstable();
        ids.dedup();
        let there = self.postgres.sql("SELECT id FROM room_events ORDER BY id::text COLLATE \"C\"");
        let there: Vec<&str> = there.lines().collect();
        assert_eq!(there.len(), ids.len());
        assert_eq!(there, ids);
    }
}

pub struct Worker {
    process: Process,
    log: PathBuf,
}

impl Worker {
    pub fn start(cluster: &Cluster, settings: &[(&str, &str)]) -> Self {
        static NUMBER: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let log = cluster.dir.path().join(format!("worker-{number}"));
        let mut command = cluster.command(&["worker"]);
        command.envs(settings.iter().copied());
        Self { process: Process::start(&mut command, &log), log }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    pub fn says(&self, what: &str) -> bool {
        self.log().contains(what)
    }

    pub fn until_it_says(&self, what: &str) {
        let begun = Instant::now();
        while !self.says(what) {
            assert!(begun.elapsed() < DEADLINE, "it never says {what:?}:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn address(&self) -> SocketAddr {
        self.until_it_says("\"listening\"");
        let log = self.log();
        let line = log.lines().find(|line| line.contains("\"listening\"")).unwrap();
        let line: Value = serde_json::from_str(line).unwrap();
        line["addr"].as_str().unwrap().parse().unwrap()
    }

    /// Status and body.
    pub fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        let status = reply.split(' ').nth(1).unwrap().parse().unwrap();
        (status, reply.split_once("\r\n\r\n").unwrap().1.to_owned())
    }

    pub fn is_ready(&self) -> bool {
        self.get("/ready").0 == 200
    }

    pub fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").1;
        let line = text.lines().find(|line| line.starts_with(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("no {name} in\n{text}")).rsplit(' ').next().unwrap().parse().unwrap()
    }

    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// SIGTERM; how long it took, and how it ended.
    pub fn terminate(&mut self) -> (Duration, Option<i32>) {
        let begun = Instant::now();
        self.process.signal("TERM");
        until("the worker ends", || !self.process.is_running());
        (begun.elapsed(), self.process.code())
    }
}
