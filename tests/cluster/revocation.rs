//! Tokens that are revoked in a cluster: known on every node within a second, also while Redis is away and after it has lost them.

use std::time::Instant;

use serde_json::{Value, json};
use tandem::token::SigningKey;
use tandem_testkit::{Client, DEADLINE, Incoming, binary, now_ms, redis::Redis};

use crate::{backing::SECRET, nodes::Nodes};

const KEY: &str = "an-example-secret-of-forty-bytes-or-more";
const KEYS: &str = "app=HS256:an-example-secret-of-forty-bytes-or-more";

fn token(user: &str, jti: &str) -> String {
    let now = now_ms() / 1_000;
    let claims = json!({"sub": user, "jti": jti, "iat": now, "exp": now + 600});
    SigningKey::secret(Some("app"), KEY.as_bytes()).unwrap().sign(&claims).unwrap()
}

async fn revoke(redis: &Redis, jti: &str) {
    let env = [("REDIS_URL", redis.url()), ("TANDEM_SECRET", SECRET.to_owned())];
    let env = env.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let done = binary::run(&env, &["revoke", "--jti", jti]).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
}

async fn enter(nodes: &Nodes, number: usize, user: &str, jti: &str) -> Client {
    let mut client = Client::connect_to(nodes.addr(number)).await;
    client.enter("film", user, json!({"features": ["resume"], "token": token(user, jti)})).await;
    client
}

/// The code of the ERROR that answers a JOIN.
async fn refused(nodes: &Nodes, number: usize, user: &str, jti: &str) -> Option<String> {
    let mut client = Client::connect_to(nodes.addr(number)).await;
    client.send_join("film", user, json!({"features": [], "token": token(user, jti)})).await;
    client.next().await.get("code").and_then(Value::as_str).map(str::to_owned)
}

async fn closed(client: &mut Client) -> Option<u16> {
    loop {
        if let Incoming::Closed(code) = client.poll(DEADLINE).await.expect("a close") {
            return code;
        }
    }
}

#[tokio::test]
async fn every_node_knows_by_itself() {
    let redis = Redis::start();
    let url = redis.url();
    let nodes = Nodes::start(2, &[("REDIS_URL", &url), ("AUTH_MODE", "token"), ("AUTH_KEYS", KEYS)]).await;
    let mut here = enter(&nodes, 0, "ana", "stolen").await;
    let mut good = enter(&nodes, 1, "ben", "good").await;
    // The same token on the other node takes the seat over, so this one is another user's with the same name of a token.
    let mut there = enter(&nodes, 1, "eve", "stolen").await;
    revoke(&redis, "stolen").await;
    let told = Instant::now();
    assert_eq!((closed(&mut here).await, closed(&mut there).await), (Some(4501), Some(4501)));
    println!("both are out after {:?}", told.elapsed());
    for number in 0..2 {
        assert_eq!(refused(&nodes, number, "ana", "stolen").await.as_deref(), Some("unauthorized"));
    }
    good.send(json!({"type": "REQUEST_SYNC"})).await;
    good.until("SYNC_RESPONSE").await;
}

#[tokio::test]
async fn what_is_known_holds_while_redis_is_away_and_after_it_has_lost_everything() {
    let mut redis = Redis::start();
    let url = redis.url();
    let mut nodes = Nodes::start(2, &[("REDIS_URL", &url), ("AUTH_MODE", "token"), ("AUTH_KEYS", KEYS)]).await;
    let mut good = enter(&nodes, 0, "ben", "good").await;
    revoke(&redis, "stolen").await;
    let begun = Instant::now();
    while refused(&nodes, 0, "ana", "stolen").await.is_none() || refused(&nodes, 1, "ana", "stolen").await.is_none() {
        assert!(begun.elapsed() < DEADLINE);
    }
    redis.kill();
    for number in 0..2 {
        nodes.until_status(number, "/ready", 503).await;
    }
    // The socket that was open when Redis went away stays.
    good.send(json!({"type": "PING"})).await;
    good.until("PONG").await;
    // It comes back with nothing, as from a replica that has lagged, and gets back what the nodes know.
    redis.restart_empty();
    nodes.until_ready(0).await;
    nodes.until_ready(1).await;
    revoke(&redis, "another").await;
    let begun = Instant::now();
    while refused(&nodes, 0, "ana", "another").await.is_none() {
        assert!(begun.elapsed() < DEADLINE);
    }
    // A node that has just been started knows it, too, from its first client on.
    nodes.kill(1);
    nodes.launch(1);
    nodes.until_ready(1).await;
    for (number, jti) in [(0, "stolen"), (0, "another"), (1, "stolen"), (1, "another")] {
        assert_eq!(refused(&nodes, number, "ana", jti).await.as_deref(), Some("unauthorized"), "{number} {jti}");
    }
}
