use std::process::Command;

use crate::{
    process::{free_port, program, wait_for},
    redis::Redis,
};

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
        // A short timeout matters only with replicas; without them a server that waits for a CPU must not be declared dead.
        let dead_after = if replicas == "0" { "15000" } else { "1000" };
        let args =
            ["--save", "", "--appendonly", "no", "--cluster-enabled", "yes", "--cluster-node-timeout", dead_after];
        let nodes: Vec<_> = (0..count).map(|_| Redis::on(free_port(), &args)).collect();
        let mut create = Command::new(program("redis-cli", &[]));
        create.args(["--cluster", "create"]).args(nodes.iter().map(|node| format!("127.0.0.1:{}", node.port())));
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

    /// Runs an inline command on one of its servers.
    pub fn command(&self, number: usize, line: &str) -> String {
        self.nodes[number].command(line)
    }

    /// The number of the server that has a key.
    pub fn owner_of(&self, key: &str) -> usize {
        let owns = |node: &Redis| !node.command(&format!("HGETALL \"{key}\"")).contains("MOVED");
        self.nodes.iter().position(owns).unwrap()
    }

    pub fn kill(&mut self, number: usize) {
        self.nodes[number].kill();
    }
}

/// Whether a replica is in sync with its master; only then can it take over.
fn in_step(node: &Redis) -> bool {
    let copies = node.try_command("INFO replication").unwrap_or_default();
    copies.contains("role:master") || copies.contains("master_link_status:up")
}
