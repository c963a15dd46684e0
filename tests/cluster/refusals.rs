//! Redis can be reached, but refuses commands.

use std::{path::Path, process::Command, time::Duration};

use serde_json::json;
use tokio::time::sleep;

use crate::nodes::Nodes;
use tandem_testkit::{
    Client,
    process::{DEADLINE, Process, free_port, program},
    redis::{Cluster, Redis},
};

/// A refusal of Redis, and how it is provoked.
struct Member {
    what: &'static str,
    begin: Vec<String>,
    end: Vec<String>,
    /// The error of Redis.
    words: &'static str,
    cause: &'static str,
}

const PASSWORD: &str = "open-sesame";

fn member(what: &'static str, begin: &[&str], end: &[&str], words: &'static str, cause: &'static str) -> Member {
    let all = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect();
    Member { what, begin: all(begin), end: all(end), words, cause }
}

/// Takes rights from the user of the node, then gives all of them back.
fn right(what: &'static str, rule: &str) -> Member {
    let lines = [format!("ACL SETUSER node {rule}"), "CLIENT KILL TYPE pubsub".to_owned()];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let again = format!("ACL SETUSER node reset on >{PASSWORD} ~* &* +@all");
    // Refused commands are noticed on an open connection; refused channels end it.
    let begin = if rule.contains("channels") || rule.contains("subscribe") { &lines[..] } else { &lines[..1] };
    member(what, begin, &[&again], "\"cause\":\"noperm\"", "noperm")
}

fn members(nobody: u16) -> Vec<Member> {
    let replica = format!("REPLICAOF 127.0.0.1 {nobody}");
    vec![
        member("memory", &["CONFIG SET maxmemory 1"], &["CONFIG SET maxmemory 0"], "OOM command not allowed", "oom"),
        member(
            "replicas",
            &["CONFIG SET min-replicas-to-write 1"],
            &["CONFIG SET min-replicas-to-write 0"],
            "NOREPLICAS Not enough good replicas",
            "noreplicas",
        ),
        member(
            "disk",
            &["CONFIG SET save \"3600 1000000\"", "BGSAVE"],
            &["CONFIG SET stop-writes-on-bgsave-error no"],
            "MISCONF Redis is configured to save",
            "misconf",
        ),
        member("a replica", &[&replica], &["REPLICAOF NO ONE"], "READONLY You can't write", "readonly"),
        member(
            "a replica without its master",
            &["CONFIG SET replica-serve-stale-data no", &replica],
            &["REPLICAOF NO ONE"],
            "MASTERDOWN",
            "masterdown",
        ),
        member(
            "another password",
            &["ACL SETUSER node resetpass >other", "CLIENT KILL TYPE pubsub"],
            &["ACL SETUSER node resetpass >open-sesame"],
            "WRONGPASS",
            "wrongpass",
        ),
        member(
            "no such user",
            &["ACL DELUSER node"],
            &["ACL SETUSER node on >open-sesame ~* &* +@all"],
            "WRONGPASS",
            "wrongpass",
        ),
        right("no scripts", "-evalsha"),
        right("no hashes", "-hset"),
        right("no streams", "-xadd"),
        right("no sets", "-sadd"),
        right("no lists", "-rpush"),
        right("no publishing", "-spublish"),
        right("no subscribing", "-ssubscribe"),
        right("other keys", "resetkeys ~other:*"),
        right("keys to read only", "resetkeys %R~*"),
        right("other channels", "resetchannels &other:*"),
    ]
}

fn said(nodes: &Nodes, words: &str) -> usize {
    nodes.log(0).lines().filter(|line| line.contains("shared state cannot be used") && line.contains(words)).count()
}

async fn until_said(nodes: &Nodes, words: &str) {
    let begun = std::time::Instant::now();
    while !nodes.log(0).contains(words) {
        assert!(begun.elapsed() < Duration::from_secs(30), "{words:?} is not said:\n{}", nodes.log(0));
        sleep(Duration::from_millis(20)).await;
    }
}

async fn goes_through(member: Member) {
    let redis = Redis::start();
    redis.command(&format!("ACL SETUSER node on >{PASSWORD} ~* &* +@all"));
    // Redis cannot save to a file whose name is taken by a directory.
    std::fs::create_dir_all(redis.log().parent().unwrap().join("dump.rdb/x")).unwrap();
    let url = redis.url();
    let user = [("REDIS_URL", url.as_str()), ("REDIS_USERNAME", "node"), ("REDIS_PASSWORD", PASSWORD)];
    let nodes = Nodes::start(1, &user).await;
    let mut ana = Client::connect_to(nodes.addr(0)).await;
    ana.enter("room", "ana", json!({"features": ["ack"]})).await;
    let what = member.what;
    println!("{what}");
    for line in &member.begin {
        let answer = redis.command(line);
        assert!(!answer.starts_with('-'), "{what}: {line}: {answer}");
    }
    until_said(&nodes, member.words).await;
    nodes.until_status(0, "/ready", 503).await;
    let counted = format!("tandem_state_errors_total{{cause=\"{}\"}}", member.cause);
    nodes.until_metric(0, &counted, 3.0).await;
    // A new client and a present one get an error, and the socket stays.
    assert_eq!(nodes.metric(0, "tandem_link_up").await, 0.0, "{what}");
    ana.send(json!({"type": "BROADCAST", "event": "x", "id": 1})).await;
    let answer = ana.collect_until(|frame| frame.is("ACK") || frame.is("ERROR"), "an answer").await.pop().unwrap();
    // Not everything that Redis refuses is needed for this.
    if answer.is("ERROR") {
        assert_eq!(answer.str("code"), "unavailable", "{what}");
    }
    // Tried each second, but not logged each second. Two lines, if the first one has another text.
    assert!((1..=3).contains(&said(&nodes, member.words)), "{what}:\n{}", nodes.log(0));
    assert!(!nodes.log(0).contains(PASSWORD), "{what}");
    for line in &member.end {
        let answer = redis.command(line);
        assert!(!answer.starts_with('-'), "{what}: {line}: {answer}");
    }
    nodes.until_ready(0).await;
    until_said(&nodes, "Redis is back").await;
    let mut ben = Client::connect_to(nodes.addr(0)).await;
    ben.enter("room", "ben", json!({"features": []})).await;
    ana.until("USER_JOINED").await;
    assert_eq!(nodes.metric(0, "tandem_link_up").await, 1.0, "{what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_redis_refuses_is_said_in_its_words_and_passes_by_itself() {
    let mut running = tokio::task::JoinSet::new();
    for member in members(free_port()) {
        if running.len() >= 4 {
            running.join_next().await.unwrap().unwrap();
        }
        running.spawn(goes_through(member));
    }
    while let Some(done) = running.join_next().await {
        done.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_finds_redis_like_that_says_so_and_waits() {
    for (begin, end, words) in [
        ("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0", "OOM command not allowed"),
        ("CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0", "NOREPLICAS"),
        ("CONFIG SET requirepass closed", "CONFIG SET requirepass \"\"", "NOAUTH"),
        ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE", "READONLY"),
        ("ACL SETUSER default -ssubscribe", "ACL SETUSER default +ssubscribe", "NOPERM"),
        ("ACL SETUSER default -set", "ACL SETUSER default +set", "The user executing the script can't run"),
    ] {
        let redis = Redis::start();
        redis.command(begin);
        let nodes = Nodes::launched(1, &[("REDIS_URL", &redis.url())]);
        until_said(&nodes, words).await;
        nodes.until_status(0, "/ready", 503).await;
        // This connection must authenticate with the new password.
        let login = if words == "NOAUTH" { "AUTH closed\r\n" } else { "" };
        redis.command(&format!("{login}{end}"));
        nodes.until_ready(0).await;
        until_said(&nodes, "Redis is back").await;
    }
}

/// Two nodes with a member each, in one room.
async fn two_members(redis: &Redis) -> (Nodes, Client, Client) {
    let nodes = Nodes::start(2, &[("REDIS_URL", &redis.url())]).await;
    let mut ana = Client::connect_to(nodes.addr(0)).await;
    ana.enter("room", "ana", json!({"features": ["resume", "ack"]})).await;
    let mut ben = Client::connect_to(nodes.addr(1)).await;
    ben.enter("room", "ben", json!({"features": ["resume", "ack"]})).await;
    ana.until("USER_JOINED").await;
    (nodes, ana, ben)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_with_rooms_that_connect_to_a_full_redis_carry_signals() {
    let redis = Redis::start();
    let (nodes, mut ana, mut ben) = two_members(&redis).await;
    redis.command("CONFIG SET maxmemory 1");
    redis.command("CLIENT KILL TYPE pubsub");
    for node in 0..2 {
        nodes.until_metric(node, "tandem_link_restarts_total", 1.0).await;
    }
    // The links are up again within some attempts; a signal before is refused.
    let carried = async {
        loop {
            ana.send(json!({"type": "OFFER", "to": "ben", "offer": {}})).await;
            if ben.during(Duration::from_millis(300)).await.iter().any(|frame| frame.is("OFFER")) {
                return;
            }
        }
    };
    tokio::time::timeout(DEADLINE, carried).await.expect("no signal is carried");
    ana.refused(json!({"type": "BROADCAST", "event": "x"}), "unavailable").await;
    nodes.until_status(0, "/ready", 503).await;
    redis.command("CONFIG SET maxmemory 0");
    for node in 0..2 {
        nodes.until_it_says(node, "Redis accepts commands again that it refused").await;
        nodes.until_ready(node).await;
    }
    let mut cem = Client::connect_to(nodes.addr(1)).await;
    assert_eq!(cem.enter("room", "cem", json!({"features": []})).await.users(), ["ana", "ben", "cem"]);
    ana.until("USER_JOINED").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_compare_their_rooms_with_a_new_server_once_it_takes_writes() {
    let mut redis = Redis::with(&["--save", "", "--min-replicas-to-write", "1"]);
    redis.command("CONFIG SET min-replicas-to-write 0");
    let (nodes, mut ana, mut ben) = two_members(&redis).await;
    // Like a master after a failover that has no replica yet.
    redis.kill();
    redis.restart_empty();
    until_said(&nodes, "NOREPLICAS").await;
    nodes.until_status(0, "/ready", 503).await;
    ana.refused(json!({"type": "BROADCAST", "event": "x"}), "unavailable").await;
    assert!(!nodes.log(0).contains("Redis is another server"), "{}", nodes.log(0));
    redis.command("CONFIG SET min-replicas-to-write 0");
    for node in 0..2 {
        nodes.until_it_says(node, "Redis is another server").await;
        nodes.until_ready(node).await;
    }
    ana.send(json!({"type": "BROADCAST", "event": "after", "id": 2})).await;
    ana.until("ACK").await;
    ben.until("BROADCAST").await;
    let mut cem = Client::connect_to(nodes.addr(0)).await;
    assert_eq!(cem.enter("room", "cem", json!({"features": []})).await.users(), ["ana", "ben", "cem"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_of_somebody_else_that_does_not_end_is_waited_for() {
    let redis = Redis::with(&["--save", "", "--busy-reply-threshold", "50"]);
    let nodes = Nodes::start(1, &[("REDIS_URL", &redis.url())]).await;
    let dir = tempfile::tempdir().unwrap();
    let mut endless = Command::new(program("redis-cli", &[]));
    endless.args(["-p", &redis.port().to_string(), "EVAL", "while true do end", "0"]);
    let _endless = Process::start(&mut endless, &dir.path().join("log") as &Path);
    until_said(&nodes, "BUSY Redis is busy running a script").await;
    nodes.until_status(0, "/ready", 503).await;
    redis.command("SCRIPT KILL");
    nodes.until_ready(0).await;
    until_said(&nodes, "Redis is back").await;
}

/// A Redis that loads for a minute and a half, or until it is told to be quick.
fn slow_to_load() -> Redis {
    let redis = Redis::with(&[
        "--save",
        "",
        "--enable-debug-command",
        "yes",
        "--key-load-delay",
        "1000",
        "--loading-process-events-interval-bytes",
        "1024",
    ]);
    assert!(redis.command("DEBUG POPULATE 90000 other").contains("+OK"));
    redis
}

const LOADING: &str = "LOADING Redis is loading the dataset in memory";

async fn until_loaded(nodes: &Nodes, redis: &Redis) {
    until_said(nodes, LOADING).await;
    nodes.until_status(0, "/ready", 503).await;
    nodes.until_metric(0, "tandem_state_errors_total{cause=\"loading\"}", 3.0).await;
    assert!(redis.command("PING").contains("LOADING"), "it has loaded everything too early");
    // Tried each second, but not logged each second.
    assert!((1..=3).contains(&said(nodes, LOADING)), "{}", nodes.log(0));
    redis.command("CONFIG SET key-load-delay 0");
    nodes.until_ready(0).await;
    until_said(nodes, "Redis is back").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_still_loads_is_waited_for() {
    let mut redis = slow_to_load();
    redis.command("SAVE");
    redis.kill();
    redis.restart_loading();
    let nodes = Nodes::launched(1, &[("REDIS_URL", &redis.url())]);
    until_loaded(&nodes, &redis).await;
    let mut ana = Client::connect_to(nodes.addr(0)).await;
    ana.enter("room", "ana", json!({"features": ["ack"]})).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_outlast_a_redis_that_was_restarted_and_loads() {
    let mut redis = slow_to_load();
    let nodes = Nodes::start(1, &[("REDIS_URL", &redis.url())]).await;
    let mut ana = Client::connect_to(nodes.addr(0)).await;
    ana.enter("room", "ana", json!({"features": ["ack"]})).await;
    redis.command("SAVE");
    redis.kill();
    redis.restart_loading();
    until_said(&nodes, LOADING).await;
    ana.refused(json!({"type": "BROADCAST", "event": "x"}), "unavailable").await;
    until_loaded(&nodes, &redis).await;
    let mut ben = Client::connect_to(nodes.addr(0)).await;
    let state = ben.enter("room", "ben", json!({"features": []})).await;
    assert_eq!(state.users(), ["ana", "ben"]);
    ana.until("USER_JOINED").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_shard_of_a_redis_cluster_that_refuses_is_enough() {
    let cluster = tokio::task::spawn_blocking(Cluster::start).await.unwrap();
    let nodes = Nodes::start(1, &[("REDIS_URL", &cluster.url()), ("REDIS_MODE", "cluster")]).await;
    for shard in 0..3 {
        cluster.command(shard, "CONFIG SET maxmemory 1");
        until_said(&nodes, "OOM command not allowed").await;
        nodes.until_status(0, "/ready", 503).await;
        cluster.command(shard, "CONFIG SET maxmemory 0");
        nodes.until_ready(0).await;
        let back = || nodes.log(0).matches("Redis is back").count();
        tandem_testkit::process::wait_for("it is not told each time", || back() > shard);
        assert_eq!(back(), shard + 1, "{}", nodes.log(0));
    }
}
