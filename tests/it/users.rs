//! Budgets of users whom tokens name: they hold wherever a user comes from.

use serde_json::{Value, json};
use tandem_testkit::{
    Client, TestApp,
    client::{Connect, fence_all},
};

use crate::{
    accounts::metric,
    tokens::{KEYS, token},
};

async fn app(caps: &str) -> TestApp {
    let settings = [("AUTH_MODE", "mixed"), ("AUTH_KEYS", KEYS), ("USER_CAPS", caps), ("TRUST_PROXY_HOPS", "1")];
    TestApp::start_with(&settings).await
}

/// A socket from an address of its own.
async fn from(app: &TestApp, last: u8) -> Client {
    let address = format!("203.0.113.{last}");
    Client::connect_with(app, Connect { headers: &[("X-Forwarded-For", &address)], ..Connect::default() }).await
}

fn with(user: &str) -> Value {
    json!({"features": [], "token": token(user, &json!({}))})
}

#[tokio::test]
async fn a_user_has_so_many_sockets_from_wherever() {
    let app = app("sockets=2").await;
    let mut sockets = Vec::new();
    for last in 1..=2 {
        let mut client = from(&app, last).await;
        // Each socket has a room of its own, since one seat is for one socket.
        client.enter(&format!("room-{last}"), "ana", with("ana")).await;
        sockets.push(client);
    }
    let mut third = from(&app, 3).await;
    third.send_join("room-3", "ana", with("ana")).await;
    third.expect_error("rate_limited").await;
    let bearer = format!("Bearer {}", token("ana", &json!({})));
    let headers = [("Authorization", bearer.as_str()), ("X-Forwarded-For", "203.0.113.4")];
    let how = || Connect { headers: &headers, ..Connect::default() };
    let refused = Client::try_connect(&app, how()).await.err().expect("no upgrade");
    assert_eq!(refused.status(), 429);
    assert!(refused.headers().contains_key("retry-after"));
    // Nobody else is concerned, and a place is free when a socket ends.
    from(&app, 3).await.enter("room-3", "ben", with("ben")).await;
    from(&app, 3).await.enter("room-4", "guest", json!({"features": []})).await;
    sockets.pop().unwrap().close().await;
    let begun = std::time::Instant::now();
    while Client::try_connect(&app, how()).await.is_err() {
        assert!(begun.elapsed() < tandem_testkit::DEADLINE);
    }
    assert!(metric(&app, "tandem_user_caps_exceeded_total{resource=\"sockets\"}").await >= 2);
    assert_eq!(metric(&app, "tandem_address_caps_exceeded_total{resource=\"sockets\"}").await, 0);
}

#[tokio::test]
async fn the_sockets_of_a_user_have_one_budget() {
    let app = app("messages=5").await;
    let (mut one, mut two, mut ben) = (from(&app, 1).await, from(&app, 2).await, from(&app, 3).await);
    one.enter("one", "ana", with("ana")).await;
    two.enter("two", "ana", with("ana")).await;
    ben.enter("one", "ben", with("ben")).await;
    // What one socket has used up the other one has not. Its first frame is refused, so that it is not its own budget.
    for id in 0..40 {
        one.send(json!({"type": "REQUEST_SYNC", "id": id})).await;
    }
    let mut refused = 0;
    while refused == 0 {
        let answer = one.next().await;
        refused += u32::from(answer["code"] == "rate_limited");
    }
    two.send(json!({"type": "REQUEST_SYNC", "id": 1})).await;
    assert_eq!(two.until("ERROR").await["code"], "rate_limited");
    fence_all(&mut [&mut ben]).await;
}

#[tokio::test]
async fn a_new_token_takes_no_second_place() {
    let app = app("sockets=1").await;
    let mut ana = from(&app, 1).await;
    ana.enter("film", "ana", with("ana")).await;
    for id in 0..3 {
        ana.send(json!({"type": "REFRESH_TOKEN", "token": token("ana", &json!({"name": id.to_string()})), "id": id}))
            .await;
        ana.until("ACK").await;
    }
    ana.send_join("film", "ana", with("ana")).await;
    ana.until("ROOM_STATE").await;
}
