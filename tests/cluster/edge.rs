//! Two colours behind HAProxy, with the configuration and the script of the deployment, switched and drained while a crowd talks.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use tokio::time::sleep;

use crate::stage::{Stage, nobody_left};
use tandem_testkit::{
    process::{DEADLINE, Process, free_port, listens, program, wait_for},
    redis::Redis,
};

struct Balancer {
    port: u16,
    admin: u16,
    state: PathBuf,
    _process: Process,
    _dir: tempfile::TempDir,
}

impl Balancer {
    fn start(blue: std::net::SocketAddr, green: std::net::SocketAddr) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (port, admin, stats) = (free_port(), free_port(), free_port());
        let state = dir.path().join("state");
        let at = |port| format!("127.0.0.1:{port}");
        let mut command = Command::new(program("haproxy", &["/usr/sbin"]));
        command.arg("-f").arg(root().join("compose/haproxy.cfg"));
        command.env("BIND", at(port)).env("ADMIN", at(admin)).env("STATS", at(stats)).env("STATE", &state);
        command.env("BLUE", blue.to_string()).env("GREEN", green.to_string());
        let process = Process::start(&mut command, &dir.path().join("log"));
        wait_for("HAProxy does not listen", || listens(port) && listens(admin));
        Self { port, admin, state, _process: process, _dir: dir }
    }

    /// The output of the script.
    fn switch(&self, to: &str) -> String {
        let mut command = Command::new(root().join("scripts/switch-color.sh"));
        command
            .arg(to)
            .env("HAPROXY", "")
            .env("HAPROXY_ADMIN_PORT", self.admin.to_string())
            .env("HAPROXY_STATE", &self.state);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Waits until the nodes have this number of sockets.
async fn until_open(stage: &Stage, wanted: &[(usize, f64)]) {
    let begun = Instant::now();
    for (node, count) in wanted {
        loop {
            let open = stage.nodes.metric(*node, "tandem_connections").await;
            if open == *count {
                break;
            }
            assert!(begun.elapsed() < DEADLINE, "node {node} has {open} sockets, not {count}");
            sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn colours_are_switched_under_load_and_nobody_notices() {
    let mut stage = Stage::set(Redis::start(), &[("TRUST_PROXY_HOPS", "1"), ("DRAIN_SECONDS", "4")]).await;
    let (blue, green) = (0, 1);
    let balancer = Balancer::start(stage.nodes.addr(blue), stage.nodes.addr(green));
    wait_for("HAProxy sees no node", || balancer.switch("status").contains("blue   8 up"));
    let crowd = stage.crowd_at(vec![([127, 0, 0, 1], balancer.port).into()], 40, 5).await;
    until_open(&stage, &[(blue, 200.0), (green, 0.0)]).await;
    sleep(Duration::from_secs(2)).await;

    wait_for("HAProxy does not see green", || balancer.switch("status").contains("green  8 up"));
    balancer.switch("green");
    sleep(Duration::from_secs(1)).await;
    // Open sockets stay.
    until_open(&stage, &[(blue, 200.0), (green, 0.0)]).await;
    stage.nodes.drain(blue).await;
    wait_for("green does not have them all", || {
        balancer.switch("status").contains("green  8 up, weight 800, 200 open")
    });

    // And back, in one command.
    stage.nodes.launch(blue);
    stage.nodes.until_ready(blue).await;
    wait_for("HAProxy does not see blue again", || balancer.switch("status").contains("blue   8 up"));
    balancer.switch("blue");
    stage.nodes.drain(green).await;
    until_open(&stage, &[(blue, 200.0)]).await;

    let (verdict, diaries) = stage.end(crowd).await;
    verdict.assert_good();
    nobody_left(&diaries);
    assert!(diaries.iter().all(|diary| diary.resumed >= 2 && diary.rejoined == 0 && diary.discontinuities == 0));
}
