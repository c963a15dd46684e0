//! The end of a process, planned or not, and the start of the next one.

use std::time::Duration;

use serde_json::json;
use tokio::{task::JoinSet, time::Instant};

use tandem_testkit::{Client, DEADLINE, Extension, Frame, TestApp, client::Connect, now_ms};

const WITHIN: Duration = Duration::from_secs(15);

#[tokio::test]
async fn sigterm_drains_and_ends_well() {
    let mut app = TestApp::start_with(&[("DRAIN_SECONDS", "6")]).await;
    let mut party = Vec::new();
    for number in 0..32 {
        let features = if number % 2 == 0 { json!({"features": ["resume"]}) } else { json!({}) };
        party.push(Client::join_with(&app, &format!("room{}", number % 3), &format!("m{number}"), features).await.0);
    }
    // One that has said nothing yet.
    party.push(Client::connect(&app).await);
    assert_eq!(app.get("/ready").await.status, 200);
    let begun = Instant::now();
    app.sigterm().await;
    for one in &mut party {
        let said = one.until("SERVER_DRAINING").await;
        assert!(said.int("retryAfterMs") <= 60_000);
        assert!(said["resume"].is_boolean());
    }
    app.get_until("/ready", 503).await;
    assert_eq!(app.get("/health").await.status, 200, "alive while it drains");
    let refused = Client::try_connect(&app, Connect::default()).await.err().expect("an upgrade while draining");
    assert_eq!(refused.status(), 503);
    let after = refused.headers()["retry-after"].to_str().unwrap();
    assert!(after.parse::<u32>().is_ok(), "{after}");

    let mut tasks = JoinSet::new();
    for mut one in party {
        tasks.spawn(async move { one.closed_within(WITHIN).await });
    }
    for (frames, code) in tasks.join_all().await {
        assert_eq!(code, Some(1012), "{frames:?}");
        // Those that can come back have not left.
        let left = frames.iter().filter(|frame| frame.is("USER_LEFT"));
        let gone: Vec<&str> = left.map(|frame| frame.str("userId")).collect();
        assert!(gone.iter().all(|user| user.ends_with(['1', '3', '5', '7', '9'])), "{gone:?}");
    }
    let status = app.exit(WITHIN).await;
    assert_eq!(status.code(), Some(0), "{}", app.log());
    assert!(begun.elapsed() < WITHIN, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_server_without_clients_ends_at_once() {
    let mut app = TestApp::start().await;
    let begun = Instant::now();
    app.sigterm().await;
    assert_eq!(app.exit(WITHIN).await.code(), Some(0));
    println!("{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_second_sigterm_forces() {
    let mut app = TestApp::start_with(&[("DRAIN_SECONDS", "10")]).await;
    let mut party = Vec::new();
    for number in 0..100 {
        party.push(Client::join(&app, "room", &format!("m{number}")).await);
    }
    app.sigterm().await;
    party[0].until("SERVER_DRAINING").await;
    let begun = Instant::now();
    app.sigterm().await;
    app.exit(WITHIN).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn clients_that_do_not_read_cannot_hold_the_drain_up() {
    let mut app = TestApp::start_with(&[("DRAIN_SECONDS", "1")]).await;
    let small = Connect { receive_buffer: Some(4096), ..Connect::default() };
    let mut deaf = Client::connect_with(&app, small).await;
    deaf.enter("room", "deaf", json!({"features": []})).await;
    let half = tokio::net::TcpStream::connect(app.addr()).await.unwrap();
    app.sigterm().await;
    assert_eq!(app.exit(WITHIN).await.code(), Some(0));
    drop((deaf, half));
}

/// What a room must be after its server was another process.
async fn fill(app: &TestApp) -> (Client, Frame, String) {
    let (mut ana, state) =
        Client::join_with(app, "room", "ana", json!({"features": ["resume"], "pin": "754495"})).await;
    ana.acked(json!({"type": "URL_CHANGE", "url": "https://example.org/film"})).await;
    ana.acked(json!({"type": "PLAY_PAUSE", "control": "pause", "currentTime": 1234.5})).await;
    ana.acked(json!({"type": "TOGGLE_GUEST_CONTROL", "enabled": true})).await;
    let code = app.get("/api/short-id/room").await.json()["shortId"].as_str().unwrap().to_owned();
    (ana, state, code)
}

async fn find(app: &TestApp, code: &str, before: &Frame) {
    let mut stranger = Client::connect(app).await;
    stranger.send_join("room", "ben", json!({"pin": "111111"})).await;
    stranger.expect_error("invalid_pin").await;
    // Somebody else first: the role is kept for its owner.
    let mut guest = Client::connect(app).await;
    let state = guest.enter("room", "guest", json!({"pin": "754495"})).await;
    assert_eq!(state["url"], "https://example.org/film");
    assert!((state.num("currentTime") - 1234.5).abs() < 1e-9, "{state:?}");
    assert_eq!(state["isPlaying"], false);
    assert_eq!(state["guestControlEnabled"], true);
    // The seat is its owner's who shows the token.
    let token = &before["resumeToken"];
    let join = json!({"features": [], "pin": "754495", "resumeToken": token});
    let (mut ana, state) = Client::join_with(app, "room", "ana", join).await;
    assert_eq!(state["hostUserId"], "ana", "{state:?}");
    ana.acked(json!({"type": "TRANSFER_HOST", "targetUserId": "guest"})).await;
    assert_eq!(app.get("/api/short-id/room").await.json()["shortId"], code);
    assert_eq!(app.get(&format!("/api/room/{code}")).await.json()["roomId"], "room");
}

#[tokio::test]
async fn a_room_comes_back_after_a_planned_restart() {
    let mut app = TestApp::start_with(&[("DRAIN_SECONDS", "0.2")]).await;
    let (mut ana, before, code) = fill(&app).await;
    app.sigterm().await;
    ana.closed().await;
    assert_eq!(app.exit(WITHIN).await.code(), Some(0));
    let app = app.restart().await;
    find(&app, &code, &before).await;
}

#[tokio::test]
async fn a_room_comes_back_after_a_kill() {
    let mut app = TestApp::start().await;
    let (_ana, before, code) = fill(&app).await;
    // The rooms are written every moment, not with every frame: with their events.
    app.audit_until(&["--room", "room", "--type", "GUEST_CONTROL"], 1).await;
    app.kill9().await;
    let app = app.restart().await;
    find(&app, &code, &before).await;
}

#[tokio::test]
async fn a_seat_is_found_again_or_said_to_be_lost() {
    let mut app = TestApp::start_with(&[("DRAIN_SECONDS", "0.2")]).await;
    let (mut ana, state, _) = fill(&app).await;
    app.sigterm().await;
    let said = ana.until("SERVER_DRAINING").await;
    ana.closed().await;
    app.exit(WITHIN).await;
    let app = app.restart().await;
    let mut ana = Client::connect(&app).await;
    ana.send(json!({"type": "RESUME", "roomId": "room", "userId": "ana", "resumeToken": state["resumeToken"],
        "epoch": state["epoch"], "version": state["version"], "features": ["resume"]}))
        .await;
    let answer = ana.next().await;
    println!("{said:?}\n{answer:?}");
    match answer.kind() {
        "RESUMED" => {}
        "DISCONTINUITY" => {
            assert_eq!(ana.expect("ROOM_STATE").await["hostUserId"], "ana");
        }
        _ => {
            assert_eq!(said["resume"], false, "it was promised: {answer:?}");
            let state = ana.enter("room", "ana", json!({"features": ["resume"], "pin": "754495"})).await;
            assert_eq!(state["hostUserId"], "ana");
        }
    }
}

#[tokio::test]
async fn old_versions_never_come_again() {
    let mut app = TestApp::start().await;
    let (mut ana, state) = Client::join_with(&app, "room", "ana", json!({"features": []})).await;
    let mut last = 0;
    for time in 0..50 {
        last = ana.acked(json!({"type": "PLAY_PAUSE", "control": "play", "currentTime": time})).await.version();
    }
    app.kill9().await;
    let app = app.restart().await;
    let (mut ana, again) = Client::join_with(&app, "room", "ana", json!({"features": []})).await;
    let next = ana.acked(json!({"type": "PLAY_PAUSE", "control": "play"})).await.version();
    // A client that remembers an epoch and a version must never take something else for what it has seen.
    assert!(
        again.int("epoch") != state.int("epoch") || next > last,
        "version {next} after {last} in the same epoch {}",
        state.int("epoch")
    );
}

#[tokio::test]
async fn an_abrupt_end_of_the_host_makes_another_host() {
    let app = TestApp::start_with(&[("HOST_GRACE_SECONDS", "3")]).await;
    let ana = Extension::join(&app, "room", "user_ana1").await;
    let mut ben = Client::join(&app, "room", "ben").await;
    let dropped = now_ms();
    ana.client.reset();
    ben.expect("USER_LEFT").await;
    ben.refused(json!({"type": "PLAY_PAUSE", "control": "play"}), "forbidden").await;
    let changed = ben.expect("HOST_CHANGED").await;
    assert_eq!(changed["hostUserId"], "ben");
    let after = now_ms() - dropped;
    assert!(after >= 2_900, "{after} ms");
    ben.acked(json!({"type": "PLAY_PAUSE", "control": "play"})).await;
}

#[tokio::test]
async fn a_host_alone_that_returns_late_is_host() {
    let app = TestApp::start_with(&[("HOST_GRACE_SECONDS", "0.1"), ("EMPTY_ROOM_SECONDS", "60")]).await;
    let ana = Client::join(&app, "room", "ana").await;
    ana.reset();
    tokio::time::sleep(Duration::from_millis(600)).await;
    let (_, state) = Client::join_with(&app, "room", "ana", json!({})).await;
    assert_eq!(state["hostUserId"], "ana");
}

#[tokio::test]
async fn an_abandoned_room_has_a_host_again_with_its_next_member() {
    let app = TestApp::start_with(&[("HOST_GRACE_SECONDS", "0.1"), ("EMPTY_ROOM_SECONDS", "60")]).await;
    let ana = Client::join(&app, "room", "ana").await;
    ana.reset();
    app.audit_until(&["--room", "room", "--type", "USER_LEFT"], 1).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    let mut ben = Client::join_with(&app, "room", "ben", json!({"features": []})).await.0;
    let begun = Instant::now();
    // At once or a moment later, but he must not sit in a room that nobody can control.
    loop {
        let state = ben.enter("room", "ben", json!({"features": []})).await;
        if state["hostUserId"] == "ben" {
            break;
        }
        assert!(begun.elapsed() < DEADLINE);
        for frame in ben.during(Duration::from_millis(100)).await {
            assert!(frame.is("HOST_CHANGED"), "{frame:?}");
        }
    }
}

#[tokio::test]
async fn two_nodes_do_not_share_a_data_directory() {
    let app = TestApp::start().await;
    let mut ana = Client::join(&app, "room", "ana").await;
    let output = app.run(&["serve"]).await;
    assert_eq!(output.code, Some(1));
    assert!(output.stderr.contains("another tandem") && output.stderr.contains("TANDEM_DATA_DIR"), "{output:?}");
    ana.acked(json!({"type": "PLAY_PAUSE", "control": "play"})).await;
}

#[tokio::test]
async fn a_goodbye_is_answered() {
    let app = TestApp::start().await;
    let ana = Client::join(&app, "room", "ana").await;
    assert_eq!(ana.say_goodbye().await, Some(1000), "a close frame, not just an end");
    let mut ben = Client::join(&app, "room", "ben").await;
    ben.send(json!({"type": "LEAVE", "id": "bye"})).await;
    let (frames, code) = ben.closed().await;
    assert!(frames.iter().any(|frame| frame.is("ACK") && frame.str("id") == "bye"), "{frames:?}");
    assert_eq!(code, Some(1000));
}

/// What a restart ends is as much an event as anything else.
#[tokio::test]
async fn a_restart_is_in_the_ledger() {
    // From its last sign of life the next process may take this long.
    let mut app = TestApp::start_with(&[("EMPTY_ROOM_SECONDS", "6")]).await;
    let (_ana, _) = Client::join_with(&app, "room", "ana", json!({})).await;
    let (_ben, _) = Client::join_with(&app, "room", "ben", json!({"features": ["resume"]})).await;
    app.audit_until(&["--room", "room"], 3).await;
    app.kill9().await;
    let mut app = app.restart().await;
    let left = app.audit_until(&["--room", "room", "--type", "USER_LEFT"], 1).await;
    assert_eq!((left.len(), &left[0]["user_id"], &left[0]["data"]["reason"]), (1, &json!("ana"), &json!("restart")));
    assert!(app.audit(&["--room", "room", "--type", "ROOM_CLOSED"]).await.is_empty());

    app.kill9().await;
    tokio::time::sleep(Duration::from_millis(6_500)).await;
    let app = app.restart().await;
    let closed = app.audit_until(&["--room", "room", "--type", "ROOM_CLOSED"], 1).await;
    assert_eq!((closed.len(), &closed[0]["user_id"]), (1, &json!("server")));
    let left = app.audit(&["--room", "room", "--type", "USER_LEFT"]).await;
    assert_eq!(left.iter().map(|event| &event["user_id"]).collect::<Vec<_>>(), ["ana", "ben"]);
}

#[tokio::test]
async fn a_ban_and_a_lock_outlive_a_kill() {
    let mut app = TestApp::start_with(&[("TRUST_PROXY_HOPS", "1")]).await;
    let (mut host, state) = Client::join_with(&app, "room", "host", json!({"features": ["resume"]})).await;
    let mut pest = Client::connect_from(&app, "203.0.113.1").await;
    pest.enter("room", "pest", json!({"features": []})).await;
    for frame in [
        json!({"type": "BAN", "targetUserId": "pest"}),
        json!({"type": "BAN", "targetUserId": "pardoned"}),
        json!({"type": "UNBAN", "targetUserId": "pardoned"}),
        json!({"type": "LOCK_ROOM", "locked": true}),
    ] {
        host.acked(frame).await;
    }
    app.audit_until(&["--room", "room", "--type", "ROOM_LOCKED"], 1).await;
    app.kill9().await;
    let app = app.restart().await;
    for (address, user, code) in [
        ("203.0.113.9", "pest", "banned"),
        ("203.0.113.1", "another", "banned"),
        ("203.0.113.9", "pardoned", "room_locked"),
    ] {
        let mut client = Client::connect_from(&app, address).await;
        client.send_join("room", user, json!({"features": []})).await;
        client.expect_error(code).await;
    }
    let mut host = Client::connect(&app).await;
    let token = json!({"features": ["resume"], "resumeToken": state["resumeToken"]});
    let state = host.enter("room", "host", token).await;
    assert_eq!((&state["locked"], state.users()), (&json!(true), vec!["host"]));
    host.acked(json!({"type": "UNBAN", "targetUserId": "pest"})).await;
    host.acked(json!({"type": "LOCK_ROOM", "locked": false})).await;
    pest = Client::connect_from(&app, "203.0.113.1").await;
    pest.enter("room", "pest", json!({"features": []})).await;
}
