//! A whole deployment for one test: Redis, PostgreSQL, nodes, a worker.

use std::{
    net::SocketAddr,
    process::Command,
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tokio::time::sleep;

use crate::{
    backing::connect,
    crowd::{Crowd, Diary, PIN, Plan, Row, URL, Verdict, judge, room},
    nodes::Nodes,
};
use tandem_testkit::{
    Client,
    postgres::Postgres,
    process::{DEADLINE, Process, free_port},
    redis::Redis,
};

pub(crate) struct Stage {
    pub(crate) redis: Redis,
    pub(crate) postgres: Postgres,
    pub(crate) nodes: Nodes,
    workers: Vec<Process>,
    /// Settings of the workers alone.
    theirs: Vec<(String, String)>,
    dir: TempDir,
}

impl Stage {
    /// Three nodes and a worker.
    pub(crate) async fn set(redis: Redis, settings: &[(&str, &str)]) -> Self {
        Self::set_apart(redis, settings, &[]).await
    }

    /// `settings` are for the nodes, `theirs` for the workers.
    pub(crate) async fn set_apart(redis: Redis, settings: &[(&str, &str)], theirs: &[(&str, &str)]) -> Self {
        let postgres = tokio::task::spawn_blocking(Postgres::start).await.unwrap();
        let (redis_url, database_url) = (redis.url(), postgres.url());
        let dir = tempfile::tempdir().unwrap();
        let env = [("REDIS_URL", redis_url.as_str()), ("DATABASE_URL", database_url.as_str())];
        let migrated = tandem(&dir, &env, "migrate").output().unwrap();
        assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
        let settings: Vec<_> = env.into_iter().chain(settings.iter().copied()).collect();
        let nodes = Nodes::start(3, &settings).await;
        let theirs = theirs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let mut stage = Self { redis, postgres, nodes, workers: Vec::new(), theirs, dir };
        stage.start_worker();
        stage
    }

    /// Starts another worker.
    pub(crate) fn start_worker(&mut self) {
        let (redis_url, database_url) = (self.redis.url(), self.postgres.url());
        let port = free_port().to_string();
        let env = [
            ("REDIS_URL", redis_url.as_str()),
            ("DATABASE_URL", database_url.as_str()),
            ("WORKER_PORT", port.as_str()),
            ("WORKER_CLAIM_SECONDS", "2"),
            ("HOST", "127.0.0.1"),
            ("LOG_FORMAT", "json"),
        ];
        let theirs = self.theirs.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let env: Vec<_> = env.into_iter().chain(theirs).collect();
        let mut command = tandem(&self.dir, &env, "worker");
        self.workers.push(Process::start(&mut command, &self.dir.path().join("worker.log")));
    }

    /// Kills all workers with SIGKILL.
    pub(crate) fn kill_workers(&mut self) {
        self.workers.drain(..).for_each(|mut worker| worker.kill());
    }

    pub(crate) async fn crowd(&self, rooms: usize, size: usize) -> Crowd {
        self.crowd_at(self.nodes.addrs(), rooms, size).await
    }

    /// The addresses that members connect to, in turn.
    pub(crate) async fn crowd_at(&self, nodes: Vec<SocketAddr>, rooms: usize, size: usize) -> Crowd {
        let plan = Plan {
            nodes,
            pause: Duration::from_secs(6),
            closing: false.into(),
            content: std::sync::Mutex::default(),
            over: false.into(),
            arrivals: std::sync::Mutex::default(),
        };
        Crowd::gather(rooms, size, plan).await
    }

    /// Ends the crowd, and judges it once the worker has written everything.
    pub(crate) async fn end(&self, crowd: Crowd) -> (Verdict, Vec<Diary>) {
        let diaries = crowd.disperse(Duration::from_secs(30)).await;
        let rows = self.ledger().await;
        let verdict = judge(&diaries, &rows);
        println!(
            "{} versions, {} deliveries, {} rows; {} resumed, {} joined anew, {} discontinuities",
            verdict.versions,
            verdict.deliveries,
            rows.len(),
            diaries.iter().map(|diary| diary.resumed).sum::<usize>(),
            diaries.iter().map(|diary| diary.rejoined).sum::<usize>(),
            diaries.iter().map(|diary| diary.discontinuities).sum::<usize>(),
        );
        (verdict, diaries)
    }

    /// All rows, once the queue is empty.
    pub(crate) async fn ledger(&self) -> Vec<Row> {
        let layout = ::tandem::backend::Layout::new("tandem:", 16);
        let mut redis = connect(&self.redis.url()).await;
        let begun = Instant::now();
        loop {
            let mut waiting = 0;
            for partition in 0..layout.partitions() {
                let length: u64 =
                    redis::cmd("XLEN").arg(layout.events(partition)).query_async(&mut redis).await.unwrap();
                waiting += length;
            }
            if waiting == 0 {
                break;
            }
            assert!(
                begun.elapsed() < 2 * DEADLINE,
                "{waiting} entries still wait; the worker says:\n{}",
                self.worker_log()
            );
            sleep(Duration::from_millis(100)).await;
        }
        let text = self
            .postgres
            .sql("SELECT id, event_type, epoch, version, coalesce(data->>'event', ''), room_id FROM room_events");
        let rows = text.lines().map(|line| {
            let mut fields = line.splitn(6, '|').map(str::to_owned);
            let mut next = || fields.next().unwrap();
            Row {
                id: next(),
                kind: next(),
                epoch: next().parse().unwrap(),
                version: next().parse().unwrap(),
                event: next(),
                room: next(),
            }
        });
        rows.collect()
    }

    pub(crate) fn worker_log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("worker.log")).unwrap_or_default()
    }

    /// Checks that every room exists with its url and its PIN.
    pub(crate) async fn no_room_is_lost(&self, rooms: usize) {
        for number in 0..rooms {
            let mut late = Client::connect_to(self.nodes.addr(number % self.nodes.len())).await;
            late.send_join(&room(number), "stranger", serde_json::json!({"features": [], "pin": "wrong"})).await;
            assert_eq!(late.until("ERROR").await.str("code"), "invalid_pin");
            let state = late.enter(&room(number), "late", serde_json::json!({"features": [], "pin": PIN})).await;
            assert_eq!(state.str("url"), URL, "{number}");
        }
    }

    pub(crate) async fn all_ready(&self) {
        for number in 0..self.nodes.len() {
            self.nodes.until_ready(number).await;
        }
    }
}

pub(crate) fn nobody_left(diaries: &[Diary]) {
    let left: Vec<_> = diaries.iter().flat_map(|diary| diary.departures.iter().map(|(_, user)| user)).collect();
    let left: Vec<_> = left.into_iter().filter(|user| user.starts_with("user_")).collect();
    assert!(left.is_empty(), "{} were announced as left, such as {:?}", left.len(), left.first());
}

fn tandem(dir: &TempDir, env: &[(&str, &str)], what: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tandem"));
    command.arg(what).env_clear().envs(env.iter().copied()).current_dir(dir.path());
    command
}
