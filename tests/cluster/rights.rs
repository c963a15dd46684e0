//! The rights in Redis of docs/operations.md are sufficient.

use serde_json::json;

use crate::{backing::SECRET, stage::Stage};
use tandem_testkit::{
    Client, binary, http,
    process::{DEADLINE, free_port, wait_for},
    redis::Redis,
};

const DOCUMENT: &str = include_str!("../../docs/operations.md");

/// The users in the document.
fn users() -> Vec<String> {
    let lines: Vec<String> =
        DOCUMENT.lines().filter(|line| line.starts_with("ACL SETUSER ")).map(str::to_owned).collect();
    assert_eq!(lines.len(), 2, "one for nodes and one for workers: {lines:?}");
    lines
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_party_needs_no_more_rights_than_are_written_down() {
    let redis = Redis::on(free_port(), &["--save", "", "--appendonly", "no"]);
    for line in users() {
        let made = redis.command(&line.replace("PASSWORD", "open-sesame"));
        assert!(made.contains("+OK"), "{line}: {made}");
    }
    let settings = [("REDIS_USERNAME", "tandem-node"), ("REDIS_PASSWORD", "open-sesame"), ("LEASE_SECONDS", "5")];
    let worker = [("REDIS_USERNAME", "tandem-worker"), ("REDIS_PASSWORD", "open-sesame")];
    let mut stage = Stage::set_apart(redis, &settings, &worker).await;
    let mut ana = Client::connect_to(stage.nodes.addr(0)).await;
    let state = ana.enter("room", "ana", json!({"features": ["resume", "ack"], "pin": "1234"})).await;
    let mut ben = Client::connect_to(stage.nodes.addr(1)).await;
    ben.enter("room", "ben", json!({"features": ["resume"], "pin": "1234"})).await;
    ana.until("USER_JOINED").await;
    ben.send(json!({"type": "OFFER", "to": "ana", "offer": {}})).await;
    ana.until("OFFER").await;
    ana.send(json!({"type": "PLAY_PAUSE", "control": "play", "currentTime": 1, "id": 1})).await;
    ana.until("ACK").await;
    // A short code is created and used.
    let code = http::request(stage.nodes.addr(0), "GET", "/api/short-id/room", &[]).await.json();
    let path = format!("/api/room/{}", code["shortId"].as_str().unwrap());
    assert_eq!(http::request(stage.nodes.addr(1), "GET", &path, &[]).await.json()["roomId"], "room");
    // An invitation is used, and a token is revoked. The first one is over when the second comes, so it is removed.
    let invitation = command(&stage.redis, &["token", "invite", "--room", "room", "--uses", "1"]).await;
    let mut cid = Client::connect_to(stage.nodes.addr(0)).await;
    cid.enter("room", "cid", json!({"features": [], "invite": invitation.trim()})).await;
    let mut dan = Client::connect_to(stage.nodes.addr(1)).await;
    dan.send_join("room", "dan", json!({"features": [], "invite": invitation.trim()})).await;
    dan.expect_error("invalid_invitation").await;
    command(&stage.redis, &["revoke", "--jti", "one"]).await;
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    command(&stage.redis, &["revoke", "--jti", "two"]).await;
    let listed = command(&stage.redis, &["revoke", "--list"]).await;
    assert!(listed.contains("two") && !listed.contains("one"), "{listed}");
    cid.send(json!({"type": "LEAVE"})).await;
    // A member goes away, gets a signal in its inbox, and comes back on another node.
    drop(ana);
    ben.until("MEMBER_AWAY").await;
    ben.send(json!({"type": "OFFER", "to": "ana", "offer": {}})).await;
    ben.send(json!({"type": "BROADCAST", "event": "missed"})).await;
    ben.until("BROADCAST").await;
    let mut ana = Client::connect_to(stage.nodes.addr(2)).await;
    ana.send(json!({
        "type": "RESUME", "roomId": "room", "userId": "ana", "resumeToken": state.str("resumeToken"),
        "epoch": state.int("epoch"), "version": state.version(),
    }))
    .await;
    ana.until("RESUMED").await;
    ana.until("BROADCAST").await;
    ana.until("OFFER").await;
    // A node dies, and another one reaps its member.
    ben.until("MEMBER_BACK").await;
    stage.nodes.kill(2);
    ben.until_within("MEMBER_AWAY", DEADLINE).await;
    // All streams were lost, together with the consumer group.
    stage.redis.command("FLUSHALL");
    ben.send(json!({"type": "BROADCAST", "event": "after"})).await;
    let rows = stage.ledger().await;
    assert!(rows.iter().any(|row| row.event == "missed"));
    stage.start_worker();
    stage.nodes.drain(1).await;
    for node in 0..3 {
        let log = stage.nodes.log(node);
        assert!(!log.contains("NOPERM") && !log.contains("cause\":\"noperm"), "{log}");
    }
    wait_for("the worker does not start", || stage.worker_log().contains("listening"));
    let log = stage.worker_log();
    assert!(!log.contains("NOPERM") && !log.contains("permission"), "{log}");
    let denied = stage.redis.command("ACL LOG");
    assert_eq!(denied.matches("reason").count(), 0, "{denied}");
    refuses_everything_else(&stage.redis);
}

/// What a command says that has the rights of a node. Revocations are over after a second.
async fn command(redis: &Redis, args: &[&str]) -> String {
    let env = [
        ("REDIS_URL", redis.url()),
        ("REDIS_USERNAME", "tandem-node".to_owned()),
        ("REDIS_PASSWORD", "open-sesame".to_owned()),
        ("TANDEM_SECRET", SECRET.to_owned()),
        ("AUTH_LEEWAY_SECONDS", "0".to_owned()),
    ];
    let mut env: std::collections::BTreeMap<_, _> =
        env.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    if args.contains(&"--jti") {
        env.insert("AUTH_MAX_LIFETIME_SECONDS".to_owned(), "1".to_owned());
    }
    let done = binary::run(&env, args).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    done.stdout
}

/// What somebody who has such a password cannot do, and somebody who has none.
fn refuses_everything_else(redis: &Redis) {
    redis.command("SET other:key 1");
    let url = redis.url().replace("redis://", "");
    let refused = |user: &str, command: &[&str]| {
        let client = redis::Client::open(format!("redis://{user}@{url}")).unwrap();
        let mut connection = client.get_connection().unwrap();
        let error = redis::cmd(command[0]).arg(&command[1..]).exec(&mut connection).expect_err(command[0]);
        assert_eq!(error.code(), Some("NOPERM"), "{user} {command:?}: {error}");
    };
    for command in [&["FLUSHALL"][..], &["CONFIG", "GET", "*"], &["KEYS", "*"], &["ACL", "LIST"], &["GET", "other:key"]]
    {
        for user in ["tandem-node:open-sesame", "tandem-worker:open-sesame"] {
            refused(user, command);
        }
    }
    refused("tandem-node:open-sesame", &["SPUBLISH", "other:channel", "x"]);
    refused("tandem-worker:open-sesame", &["SPUBLISH", "tandem:{0}:room:r", "x"]);
    refused("tandem-worker:open-sesame", &["SET", "tandem:{0}:room:r", "x"]);
}
