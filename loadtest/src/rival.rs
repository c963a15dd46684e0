//! Socket.IO with its Redis adapter: as many nodes as the cluster, and a Redis of their own.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::{
    backing::{Redis, find},
    meter::Meter,
    process::Server,
    target::Target,
};

/// Its nodes, as long as this value lives.
#[derive(Debug)]
pub(crate) struct Rival {
    nodes: Vec<Server>,
    redis: Redis,
}

impl Rival {
    /// Starts `count` nodes of the program in `home`.
    pub(crate) async fn start(home: &Path, count: u32, folder: &Path) -> Result<Self> {
        let node = find("node", &[]).context("node is missing: install Node.js 20 or later")?;
        let home: PathBuf = home.canonicalize().with_context(|| format!("there is no {}", home.display()))?;
        let installed = home.join("node_modules/socket.io").is_dir();
        ensure!(installed, "run `npm ci` in {} first", home.display());
        let program = home.join("server.js");
        let program = program.to_str().context("its path is no text")?;
        let redis = Redis::start(folder).await?;
        let settings = [("REDIS_URL", redis.url()), ("PORT", "0".to_owned()), ("NODE_ENV", "production".to_owned())];
        let settings = settings.map(|(key, value)| (key.to_owned(), value));
        let mut nodes = Vec::new();
        for _ in 0..count {
            nodes.push(Server::start("socket.io", &node, &[program], &settings, folder).await?);
        }
        Ok(Self { nodes, redis })
    }

    /// Where the nodes listen.
    pub(crate) fn targets(&self) -> Vec<Target> {
        self.nodes.iter().map(|node| node.target().clone()).collect()
    }

    /// The CPU of each part.
    pub(crate) fn meters(&self) -> Vec<Meter> {
        vec![Meter::new("nodes", self.nodes.iter().map(Server::probe)), Meter::new("Redis", self.redis.probes())]
    }

    /// Ends everything; the last warnings that were logged.
    pub(crate) async fn stop(self) -> Result<Vec<String>> {
        let mut warnings = Vec::new();
        for node in self.nodes {
            warnings.extend(node.stop().await?);
        }
        self.redis.stop().await?;
        Ok(warnings)
    }
}
