//! The fixture on a real Redis: one server, or a cluster of three that all tests of this binary share.

use std::sync::{
    Arc, Mutex, OnceLock,
    atomic::{AtomicU32, Ordering},
};

use clap::{Args as _, FromArgMatches as _};
use tandem::{
    backend::{Backend, RedisNode, RedisParts},
    config::RedisConfig,
    id::{NodeId, RoomId, UserId},
    ledger::Entry,
    telemetry::Metrics,
};

use crate::{
    fixture::Fixture,
    kit::redis::{Cluster, Redis},
};

/// Each test has a prefix of its own on the servers that it shares with others.
pub struct RedisFixture {
    url: String,
    mode: &'static str,
    prefix: String,
    running: Mutex<Vec<tokio::task::JoinHandle<()>>>,
}

impl RedisFixture {
    pub fn standalone() -> Self {
        static SERVER: OnceLock<Redis> = OnceLock::new();
        Self::new(SERVER.get_or_init(Redis::start).url(), "standalone")
    }

    pub fn cluster() -> Self {
        static CLUSTER: OnceLock<Cluster> = OnceLock::new();
        Self::new(CLUSTER.get_or_init(Cluster::start).url(), "cluster")
    }

    fn new(url: String, mode: &'static str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let prefix = format!("t{}:", NEXT.fetch_add(1, Ordering::Relaxed));
        Self { url, mode, prefix, running: Mutex::default() }
    }

    pub fn config(&self) -> RedisConfig {
        let command = RedisConfig::augment_args(clap::Command::new("x"));
        let args = ["x", "--redis-url", &self.url, "--redis-mode", self.mode, "--redis-prefix", &self.prefix];
        RedisConfig::from_arg_matches(&command.get_matches_from(args)).unwrap()
    }

    pub async fn redis(&self, name: &str) -> Arc<RedisNode> {
        self.counted(name, Arc::new(Metrics::new(name))).await
    }

    pub async fn counted(&self, name: &str, metrics: Arc<Metrics>) -> Arc<RedisNode> {
        let node = RedisNode::new(RedisParts {
            name: NodeId::parse(name).unwrap(),
            config: &self.config(),
            max_rooms: 1_000,
            retention: crate::fixture::long(),
            ledger: true,
            metrics,
        });
        let node = node.unwrap();
        self.running.lock().unwrap().push(tokio::spawn(Arc::clone(&node).run()));
        assert!(node.until_up(crate::kit::process::DEADLINE).await, "Redis is not reached");
        node
    }
}

impl Drop for RedisFixture {
    fn drop(&mut self) {
        self.running.lock().unwrap().iter().for_each(tokio::task::JoinHandle::abort);
    }
}

impl Fixture for RedisFixture {
    async fn node(&self, name: &str) -> Arc<dyn Backend> {
        self.redis(name).await
    }

    async fn lives(&self, room: &RoomId, user: &UserId) -> Vec<u64> {
        let config = self.config();
        let layout = tandem::shared::Layout::new(&config.redis_prefix, config.redis_partitions);
        let mut wire = tandem::shared::Connector::new(&config).unwrap().connect(|_| {}).await.unwrap();
        let mut lives = Vec::new();
        for key in [layout.history(room), layout.inbox(room, user), layout.room(room)] {
            lives.push(redis::cmd("PTTL").arg(key).query_async(&mut wire).await.unwrap());
        }
        lives
    }

    async fn events(&self, room: &RoomId) -> usize {
        let config = self.config();
        let layout = tandem::shared::Layout::new(&config.redis_prefix, config.redis_partitions);
        let mut wire = tandem::shared::Connector::new(&config).unwrap().connect(|_| {}).await.unwrap();
        let range: Vec<(String, Vec<(String, String)>)> = redis::cmd("XRANGE")
            .arg(layout.events(layout.partition(room)))
            .arg("-")
            .arg("+")
            .query_async(&mut wire)
            .await
            .unwrap();
        let entries = range.iter().map(|(_, fields)| serde_json::from_str::<Entry>(&fields[0].1).unwrap());
        entries.filter(|entry| entry.room.id == *room).map(|entry| entry.events.len()).sum()
    }
}
