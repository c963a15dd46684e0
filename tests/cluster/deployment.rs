//! Nodes that do not fit a deployment, and the other shapes of Redis.

use std::{process::Command, time::Duration};

use serde_json::json;
use tandem::{backend::Layout, id::RoomId};
use tokio::time::sleep;

use crate::{
    backing::{SECRET, connect},
    nodes::Nodes,
};
use tandem_testkit::{
    Client, Incoming,
    certificates::Certificates,
    http,
    process::{DEADLINE, free_port},
    redis::{Cluster, Redis, Sentinel},
};

fn serve(env: &[(&str, &str)]) -> std::process::Output {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tandem"));
    command.arg("serve").env_clear().envs(env.iter().copied()).current_dir(dir.path());
    command.env("HOST", "127.0.0.1").env("PORT", free_port().to_string()).output().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_does_not_fit_says_why_and_ends() {
    let redis = Redis::start();
    let url = redis.url();
    let _nodes = Nodes::start(1, &[("REDIS_URL", &url)]).await;
    for (settings, why) in [
        (vec![("REDIS_URL", url.as_str())], "TANDEM_SECRET"),
        (vec![("REDIS_URL", url.as_str()), ("TANDEM_SECRET", "another one than the first")], "another TANDEM_SECRET"),
        (
            vec![("REDIS_URL", url.as_str()), ("TANDEM_SECRET", SECRET), ("REDIS_PARTITIONS", "32")],
            "another REDIS_PARTITIONS",
        ),
        (vec![("REDIS_URL", "http://nowhere"), ("TANDEM_SECRET", SECRET)], "REDIS_URL"),
        (vec![("DATABASE_URL", "postgres://x@127.0.0.1/x")], "REDIS_URL"),
        (
            vec![("REDIS_URL", url.as_str()), ("TANDEM_SECRET", SECRET), ("REDIS_MODE", "cluster"), ("REDIS_DB", "3")],
            "REDIS_DB 3: a Redis Cluster has only database 0",
        ),
        (vec![("REDIS_URL", url.as_str()), ("TANDEM_SECRET", SECRET), ("REDIS_PREFIX", "a{b}")], "REDIS_PREFIX"),
    ] {
        let ended = tokio::task::block_in_place(|| serve(&settings));
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(!ended.status.success() && said.contains(why), "{why}: {said}");
    }
}

/// Two members on two nodes hear each other, also after `trouble`.
async fn two_nodes_talk(settings: &[(&str, &str)], trouble: impl FnOnce()) {
    let nodes = Nodes::start(2, settings).await;
    let mut clients = Vec::new();
    for (number, user) in ["ana", "ben"].into_iter().enumerate() {
        let mut client = Client::connect_to(nodes.addr(number)).await;
        client.enter("room", user, json!({"features": ["resume", "ack"]})).await;
        clients.push(client);
    }
    let (mut ben, mut ana) = (clients.pop().unwrap(), clients.pop().unwrap());
    ana.send(json!({"type": "BROADCAST", "event": "before", "id": 1})).await;
    assert_eq!(ben.until("BROADCAST").await.str("event"), "before");
    trouble();
    // Refused for a while, then accepted.
    let mut tries = 0;
    loop {
        ana.send(json!({"type": "BROADCAST", "event": "after", "id": 2})).await;
        let answer =
            ana.collect_until(|frame| frame.is("ACK") && frame["id"] == 2 || frame.is("ERROR"), "an answer").await;
        if answer.last().unwrap().is("ACK") {
            break;
        }
        tries += 1;
        assert!(tries < 100, "{}", nodes.log(0));
        sleep(Duration::from_millis(300)).await;
    }
    println!("{tries} refusals");
    let begun = std::time::Instant::now();
    loop {
        match ben.poll(Duration::from_secs(1)).await {
            Some(Incoming::Frame(frame)) if frame.is("BROADCAST") && frame["event"] == "after" => break,
            _ => assert!(begun.elapsed() < DEADLINE, "it is not heard:\n{}\n{}", nodes.log(0), nodes.log(1)),
        }
    }
    // The connection of his node may be replaced once more, and no inbox keeps an offer for a present member.
    let begun = std::time::Instant::now();
    loop {
        ana.send(json!({"type": "OFFER", "to": "ben", "offer": {"sdp": "x"}})).await;
        match ben.poll(Duration::from_secs(1)).await {
            Some(Incoming::Frame(frame)) if frame.is("OFFER") => break,
            _ => assert!(begun.elapsed() < DEADLINE, "no offer comes:\n{}\n{}", nodes.log(0), nodes.log(1)),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinels_lead_to_another_master_when_the_first_is_gone() {
    let mut sentinel = tokio::task::spawn_blocking(Sentinel::start).await.unwrap();
    let url = sentinel.url();
    let settings = [("REDIS_URL", url.as_str()), ("REDIS_MODE", "sentinel"), ("REDIS_MASTER", "film")];
    two_nodes_talk(&settings, || sentinel.kill_master()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinels_that_ask_for_a_password_get_theirs_and_redis_its_own() {
    let mut sentinel =
        tokio::task::spawn_blocking(|| Sentinel::with_passwords("open-sentinel", "open-redis")).await.unwrap();
    let url = sentinel.url();
    let settings = [
        ("REDIS_URL", url.as_str()),
        ("REDIS_MODE", "sentinel"),
        ("REDIS_MASTER", "film"),
        ("REDIS_PASSWORD", "open-redis"),
        ("REDIS_SENTINEL_PASSWORD", "open-sentinel"),
    ];
    two_nodes_talk(&settings, || sentinel.kill_master()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinels_and_redis_over_tls() {
    let dir = tempfile::tempdir().unwrap();
    let certificates = Certificates::make(dir.path());
    let ca = certificates.ca.clone();
    let mut sentinel = tokio::task::spawn_blocking(move || Sentinel::over_tls(&certificates)).await.unwrap();
    let url = sentinel.url();
    let settings = [
        ("REDIS_URL", url.as_str()),
        ("REDIS_MODE", "sentinel"),
        ("REDIS_MASTER", "film"),
        ("REDIS_CA_FILE", ca.as_str()),
    ];
    two_nodes_talk(&settings, || sentinel.kill_master()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_that_sentinels_do_not_take_is_said_and_never_shown() {
    const WRONG: &str = "a-secret-that-is-wrong";
    let users = ["user tandem on >of-a-user +@all"];
    let sentinel =
        tokio::task::spawn_blocking(move || Sentinel::with("open-sentinel", "", &users, None)).await.unwrap();
    let url = sentinel.url();
    let fixed = [("REDIS_URL", url.as_str()), ("REDIS_MODE", "sentinel"), ("REDIS_MASTER", "film")];
    for (own, words) in [
        (vec![], "NOAUTH"),
        (vec![("REDIS_SENTINEL_PASSWORD", WRONG)], "WRONGPASS"),
        (vec![("REDIS_SENTINEL_USERNAME", "nobody"), ("REDIS_SENTINEL_PASSWORD", WRONG)], "WRONGPASS"),
    ] {
        let settings = [&fixed[..], &own].concat();
        let nodes = Nodes::launched(1, &settings);
        tandem_testkit::process::wait_for("nothing is said", || nodes.log(0).contains(words));
        assert!(!nodes.log(0).contains(WRONG), "{}", nodes.log(0));
        nodes.until_status(0, "/ready", 503).await;
    }
    let own = [("REDIS_SENTINEL_USERNAME", "tandem"), ("REDIS_SENTINEL_PASSWORD", "of-a-user")];
    Nodes::start(1, &[&fixed[..], &own].concat()).await;
}

/// The types of all frames that a client gets, except for answers to its own.
async fn heard(client: &mut Client, within: Duration) -> Vec<String> {
    client.during(within).await.iter().map(|frame| frame.str("type").to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deployments_that_are_apart_by_their_database_alone_hear_nothing_of_each_other() {
    let redis = Redis::start();
    let (plain, seventh) = (redis.url(), format!("{}/7", redis.url()));
    let mut deployments = Vec::new();
    // The same secret and the same names of nodes, rooms and members, as in a copy of a deployment.
    for settings in [
        vec![("REDIS_URL", plain.as_str())],
        vec![("REDIS_URL", plain.as_str()), ("REDIS_DB", "1")],
        vec![("REDIS_URL", plain.as_str()), ("REDIS_DB", "10")],
        vec![("REDIS_URL", seventh.as_str())],
    ] {
        let settings = [&settings[..], &[("LEASE_SECONDS", "5")]].concat();
        let nodes = Nodes::start(2, &settings).await;
        let mut members = Vec::new();
        for (number, user) in ["ana", "ben"].into_iter().enumerate() {
            let mut client = Client::connect_to(nodes.addr(number)).await;
            let state = client.enter("room", user, json!({"features": ["resume", "ack"]})).await;
            assert_eq!(state["users"].as_array().unwrap().len(), number + 1, "somebody else's are here");
            members.push(client);
        }
        members[0].until("USER_JOINED").await;
        deployments.push((nodes, members));
    }
    for (_, members) in &mut deployments {
        for number in 0..20 {
            let ana = &mut members[0];
            ana.send(json!({"type": "OFFER", "to": "ben", "offer": {"sdp": "x"}})).await;
            ana.send(json!({"type": "BROADCAST", "event": "x", "id": number})).await;
            ana.until("ACK").await;
            let ben = &mut members[1];
            ben.until("OFFER").await;
            ben.until("BROADCAST").await;
        }
    }
    for (number, (nodes, members)) in deployments.iter_mut().enumerate() {
        for client in members {
            let heard = heard(client, Duration::from_millis(200)).await;
            assert!(heard.is_empty(), "{number}: {heard:?}");
        }
        for node in 0..2 {
            assert_eq!(nodes.metric(node, "tandem_gaps_total{outcome=\"noticed\"}").await, 0.0, "{number}");
        }
    }
    // Each subscribes again to what is its own.
    redis.command("CLIENT KILL TYPE pubsub");
    for (nodes, _) in &deployments {
        for node in 0..2 {
            nodes.until_metric(node, "tandem_link_restarts_total", 1.0).await;
            nodes.until_metric(node, "tandem_link_up", 1.0).await;
        }
    }
    for (_, members) in &mut deployments {
        members[0].send(json!({"type": "BROADCAST", "event": "x", "id": 20})).await;
        for member in members {
            member.until("BROADCAST").await;
        }
    }
    // A deaf link must not look alive because another deployment has a node with its name.
    deployments[1].0.kill(0);
    deployments[0].0.until_ready(0).await;
    deployments[1].1[1].until_within("MEMBER_AWAY", DEADLINE).await;
    let silent = heard(&mut deployments[0].1[1], Duration::from_millis(200)).await;
    assert!(silent.is_empty(), "{silent:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_cluster_goes_on_when_a_replica_takes_over() {
    let mut cluster = tokio::task::spawn_blocking(Cluster::with_replicas).await.unwrap();
    let url = cluster.url();
    let settings = [("REDIS_URL", url.as_str()), ("REDIS_MODE", "cluster")];
    let slot_owner = cluster.owner_of(&Layout::new("tandem:", 16).room(&RoomId::parse("room").unwrap()));
    two_nodes_talk(&settings, || cluster.kill(slot_owner)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_over_tls_with_a_password() {
    let dir = tempfile::tempdir().unwrap();
    let Certificates { ca, key, certificate } = Certificates::make(dir.path());
    let port = free_port();
    let plain = free_port().to_string();
    let tls = [
        "--tls-port",
        &port.to_string(),
        "--tls-cert-file",
        &certificate,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &ca,
    ]
    .map(str::to_owned);
    let mut args: Vec<&str> = tls.iter().map(String::as_str).collect();
    args.extend(["--tls-auth-clients", "no", "--save", "", "--requirepass", "open sesame"]);
    let redis = Redis::with_password(plain.parse().unwrap(), &args, "open sesame");
    let url = format!("rediss://localhost:{port}");
    let settings = [("REDIS_URL", url.as_str()), ("REDIS_PASSWORD", "open sesame"), ("REDIS_CA_FILE", ca.as_str())];
    two_nodes_talk(&settings, || {
        redis.command("AUTH \"open sesame\"\r\nCLIENT KILL TYPE pubsub");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_processes_with_one_name_the_older_one_goes() {
    let redis = Redis::start();
    let mut nodes = Nodes::start(2, &[("REDIS_URL", &redis.url()), ("DRAIN_SECONDS", "1")]).await;
    let mut ana = Client::connect_to(nodes.addr(0)).await;
    let state = ana.enter("room", "ana", json!({"features": ["resume"]})).await;
    nodes.set(1, "NODE_ID", "node-0");
    nodes.drain(1).await;
    nodes.launch(1);
    nodes.until_ready(1).await;
    assert_eq!(ana.closed().await.1, Some(1012));
    tandem_testkit::process::wait_for("the older one stays", || !nodes.is_running(0));
    assert!(nodes.log(0).contains("NODE_ID"), "{}", nodes.log(0));
    let mut ana = Client::connect_to(nodes.addr(1)).await;
    let resume = json!({
        "type": "RESUME", "roomId": "room", "userId": "ana", "resumeToken": state.str("resumeToken"),
        "epoch": state.int("epoch"), "version": state.version(),
    });
    ana.send(resume).await;
    ana.until("RESUMED").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_lives_on_when_it_is_used_if_somebody_was_ever_in_its_room() {
    let redis = Redis::start();
    let nodes = Nodes::start(1, &[("REDIS_URL", &redis.url())]).await;
    let mut redis = connect(&redis.url()).await;
    let mut ana = Client::connect_to(nodes.addr(0)).await;
    ana.enter("room", "ana", json!({"features": []})).await;
    for (room, grows) in [("room", true), ("nobody", false)] {
        let code = http::request(nodes.addr(0), "GET", &format!("/api/short-id/{room}"), &[]).await.json();
        let code = code["shortId"].as_str().unwrap();
        let keys: Vec<String> = redis::cmd("KEYS").arg(format!("*:code:{code}")).query_async(&mut redis).await.unwrap();
        let soon = 1_000_000_i64;
        redis::cmd("PEXPIRE").arg(&keys[0]).arg(soon).query_async::<()>(&mut redis).await.unwrap();
        let found = http::request(nodes.addr(0), "GET", &format!("/api/room/{code}"), &[]).await.json();
        assert_eq!(found["roomId"], room);
        let life: i64 = redis::cmd("PTTL").arg(&keys[0]).query_async(&mut redis).await.unwrap();
        assert_eq!(life > soon, grows, "{room}: {life}");
    }
}
