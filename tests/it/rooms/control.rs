//! Rights: roles, guest control, transfer of the host's role, removal of a member.

use serde_json::{Value, json};

use tandem_testkit::{
    Client, Extension, TestApp,
    client::{fence_all, quiet},
};

/// A host, a co-host and a member, with no unread frames.
async fn three(app: &TestApp) -> (Client, Client, Client) {
    let mut host = Client::join(app, "room", "host").await;
    let mut deputy = Client::join(app, "room", "deputy").await;
    let mut guest = Client::join(app, "room", "guest").await;
    host.acked(json!({"type": "SET_ROLE", "targetUserId": "deputy", "role": "co-host"})).await;
    fence_all(&mut [&mut host, &mut deputy, &mut guest]).await;
    (host, deputy, guest)
}

#[tokio::test]
async fn each_role_reaches_as_far_as_documented() {
    let app = TestApp::start().await;
    let (mut host, mut deputy, mut guest) = three(&app).await;
    let control = [
        json!({"type": "PLAY_PAUSE", "control": "play"}),
        json!({"type": "SEEK", "currentTime": 5, "isPlaying": false}),
        json!({"type": "URL_CHANGE", "url": "https://example.org/"}),
    ];
    let heartbeat = json!({"type": "HOST_HEARTBEAT", "currentTime": 5, "isPlaying": false});
    let toggle = json!({"type": "TOGGLE_GUEST_CONTROL", "enabled": false});
    let host_only = [
        json!({"type": "TRANSFER_HOST", "targetUserId": "guest"}),
        json!({"type": "SET_ROLE", "targetUserId": "guest", "role": "co-host"}),
        json!({"type": "SET_ROLE", "targetUserId": "deputy", "role": "member"}),
    ];
    let kick = json!({"type": "KICK", "targetUserId": "host"});

    for frame in control.iter().chain([&heartbeat, &toggle, &kick]).chain(&host_only) {
        guest.refused(frame.clone(), "forbidden").await;
    }
    for frame in host_only.iter().chain([&kick]) {
        deputy.refused(frame.clone(), "forbidden").await;
    }
    quiet(&mut [&mut host, &mut deputy, &mut guest]).await;
    for frame in control.iter().chain([&heartbeat, &toggle]) {
        deputy.acked(frame.clone()).await;
    }
    for frame in control.iter().chain([&heartbeat, &toggle]).chain(&host_only[1..]) {
        host.acked(frame.clone()).await;
    }
    // With guest control on, a guest moves the film, and nothing else.
    host.acked(json!({"type": "TOGGLE_GUEST_CONTROL", "enabled": true})).await;
    host.acked(json!({"type": "SET_ROLE", "targetUserId": "guest", "role": "member"})).await;
    for frame in &control {
        guest.acked(frame.clone()).await;
    }
    for frame in [&heartbeat, &toggle, &kick].into_iter().chain(&host_only) {
        guest.refused(frame.clone(), "forbidden").await;
    }
}

#[tokio::test]
async fn the_host_hands_its_role_on() {
    let app = TestApp::start().await;
    let (mut host, mut deputy, mut guest) = three(&app).await;
    host.refused(json!({"type": "TRANSFER_HOST", "targetUserId": "nobody"}), "not_joined").await;
    host.send(json!({"type": "TRANSFER_HOST", "targetUserId": "guest"})).await;
    for member in [&mut host, &mut deputy, &mut guest] {
        assert_eq!(member.until("HOST_CHANGED").await["hostUserId"], "guest");
    }
    guest.acked(json!({"type": "PLAY_PAUSE", "control": "play"})).await;
    host.refused(json!({"type": "TRANSFER_HOST", "targetUserId": "host"}), "forbidden").await;
    let (_, state) = Client::join_with(&app, "room", "late", json!({})).await;
    assert_eq!(state["hostUserId"], "guest");
    assert_eq!(state.user("guest")["role"], "host");
    assert_eq!(state.user("deputy")["role"], "co-host");
    assert_ne!(state.user("host")["role"], "host");
}

#[tokio::test]
async fn roles_are_announced_and_kept() {
    let app = TestApp::start().await;
    let (mut host, mut deputy, mut guest) = three(&app).await;
    host.refused(json!({"type": "SET_ROLE", "targetUserId": "nobody", "role": "co-host"}), "not_joined").await;
    host.send(json!({"type": "SET_ROLE", "targetUserId": "guest", "role": "co-host"})).await;
    for member in [&mut host, &mut deputy, &mut guest] {
        let changed = member.until("ROLE_CHANGED").await;
        assert_eq!((changed.str("userId"), changed.str("role")), ("guest", "co-host"));
    }
    // JOIN again on the same socket changes nothing about it.
    let state = guest.enter("room", "guest", json!({"features": []})).await;
    assert_eq!(state.user("guest")["role"], "co-host");
    for role in [json!("host"), json!("admin"), json!(1), Value::Null] {
        host.refused(json!({"type": "SET_ROLE", "targetUserId": "guest", "role": role}), "invalid_message").await;
    }
}

#[tokio::test]
async fn a_kicked_member_is_gone_and_stays_out() {
    let app = TestApp::start().await;
    let (mut host, mut deputy, mut guest) = three(&app).await;
    deputy.send(json!({"type": "KICK", "targetUserId": "guest", "reason": "spoilers"})).await;
    for member in [&mut host, &mut deputy] {
        let left = member.until("USER_LEFT").await;
        assert_eq!((left.str("userId"), left.str("reason")), ("guest", "kicked"));
    }
    assert_eq!(guest.closed().await.1, Some(4503));
    let mut again = Client::connect(&app).await;
    again.send_join("room", "guest", json!({})).await;
    again.expect_error("forbidden").await;
    again.ping().await;
    quiet(&mut [&mut host, &mut deputy]).await;
    // Into another room, or under another name, it may.
    again.enter("another", "guest", json!({})).await;
    Client::join(&app, "room", "guest2").await;
    host.refused(json!({"type": "KICK", "targetUserId": "guest"}), "not_joined").await;
    deputy.refused(json!({"type": "KICK", "targetUserId": "host"}), "forbidden").await;
}

#[tokio::test]
async fn a_full_room_takes_nobody_else() {
    let app = TestApp::start_with(&[("ROOM_MAX_MEMBERS", "2")]).await;
    let mut ana = Client::join(&app, "room", "ana").await;
    let ben = Client::join(&app, "room", "ben").await;
    ana.expect("USER_JOINED").await;
    let mut carl = Client::connect(&app).await;
    carl.send_join("room", "carl", json!({})).await;
    assert_eq!(carl.expect_error("room_full").await["retryable"], true);
    // Those who are in may come again.
    ana.enter("room", "ana", json!({"features": []})).await;
    carl.enter("another", "carl", json!({})).await;
    ben.vanish();
    ana.until("USER_LEFT").await;
    carl.send_join("room", "carl", json!({})).await;
    assert_eq!(carl.until("ROOM_STATE").await["roomId"], "room");
}

#[tokio::test]
async fn a_user_id_belongs_to_who_holds_it() {
    let app = TestApp::start_with(&[("TRUST_PROXY_HOPS", "1")]).await;
    let mut ana = Client::connect_from(&app, "203.0.113.7").await;
    let state = ana.enter("room", "ana", json!({"features": ["resume"]})).await;
    let mut ben = Client::connect_from(&app, "203.0.113.9").await;
    ben.enter("room", "ben", json!({"features": []})).await;
    ana.expect("USER_JOINED").await;

    // Another client, from another address.
    let mut thief = Client::connect_from(&app, "198.51.100.1").await;
    thief.send_join("room", "ana", json!({"features": []})).await;
    thief.expect_error("identity_in_use").await;
    thief.send_join("room", "ana", json!({"features": [], "resumeToken": "0123456789abcdef0123456789abcdef"})).await;
    let error = thief.expect("ERROR").await;
    assert!(error["code"] == "identity_in_use" || error["code"] == "unauthorized", "{error:?}");
    // The address is what the proxy says, not what the client put before it.
    let mut liar = Client::connect_from(&app, "203.0.113.7, 198.51.100.1").await;
    liar.send_join("room", "ana", json!({"features": []})).await;
    liar.expect_error("identity_in_use").await;
    quiet(&mut [&mut ana, &mut ben]).await;

    // With the token it may be from anywhere.
    let mut moved = Client::connect_from(&app, "192.0.2.77").await;
    let token = state["resumeToken"].clone();
    moved.enter("room", "ana", json!({"features": ["resume"], "resumeToken": token})).await;
    ben.expect("USER_JOINED").await;
    ana.until_refused(json!({"type": "REQUEST_SYNC"}), "not_joined").await;
    // And from the same address without.
    let mut tab = Client::connect_from(&app, "203.0.113.9").await;
    tab.enter("room", "ben", json!({"features": []})).await;
    ben.until_refused(json!({"type": "REQUEST_SYNC"}), "not_joined").await;
}

#[tokio::test]
async fn a_kept_seat_keeps_its_user_id() {
    let app = TestApp::start_with(&[("TRUST_PROXY_HOPS", "1")]).await;
    let mut ben = Client::connect_from(&app, "203.0.113.9").await;
    ben.enter("room", "ben", json!({"features": []})).await;
    let mut ana = Client::connect_from(&app, "203.0.113.7").await;
    ana.enter("room", "ana", json!({"features": ["resume"]})).await;
    ana.reset();
    ben.until("MEMBER_AWAY").await;
    let mut thief = Client::connect_from(&app, "198.51.100.1").await;
    thief.send_join("room", "ana", json!({"features": []})).await;
    thief.expect_error("identity_in_use").await;
}

/// Where the film is by the room's clock.
async fn host_time(host: &mut Client) -> f64 {
    host.send(json!({"type": "REQUEST_SYNC"})).await;
    host.until("SYNC_RESPONSE").await.exact("currentTime")
}

/// Every place where the time of a film is read takes that of a live stream, and nothing beyond.
#[tokio::test]
async fn times_of_live_streams_are_times() {
    let app = TestApp::start().await;
    let mut host = Client::join(&app, "room", "host").await;
    let timed = |time: f64| {
        [
            json!({"type": "PLAY_PAUSE", "control": "pause", "currentTime": time}),
            json!({"type": "SEEK", "currentTime": time, "isPlaying": false}),
            json!({"type": "READY", "targetTime": time}),
            json!({"type": "POSITION_UPDATE", "currentTime": time, "isPlaying": false}),
            json!({"type": "HOST_HEARTBEAT", "currentTime": time, "isPlaying": false}),
            json!({"type": "URL_CHANGE", "url": "https://example.org/live", "currentTime": time}),
        ]
    };
    for time in [0.0, 10_000_001.0, 1_795_295_285.25, 10_000_000_000.0] {
        for frame in timed(time) {
            host.acked(frame).await;
        }
        assert_eq!(host_time(&mut host).await.to_bits(), time.to_bits());
    }
    for time in [10_000_000_000.1, 1_795_295_285_250.0, 1e300, -1.0] {
        for frame in timed(time) {
            let error = host.refused(frame.clone(), "invalid_message").await;
            assert!(error.str("message").contains("Time: is not between 0 and 10000000000"), "{frame} {error:?}");
        }
    }
    // First-generation clients say the time of an url in milliseconds.
    let mut first = Extension::join(&app, "other", "user_c0gch0c").await;
    first.url_change("https://example.org/live", 1_795_295_285_250.0).await;
    assert_eq!(first.expect("URL_CHANGE").await.num("currentTime"), 1_795_295_285.25);
    first.url_change("https://example.org/live", 10_000_000_000_001.0).await;
    first.expect_error("invalid_message").await;
}

/// A guest that reloads repeats the current url: other members must not get it.
#[tokio::test]
async fn the_url_that_is_on_is_not_said_again() {
    let app = TestApp::start().await;
    let (mut host, mut deputy, mut guest) = three(&app).await;
    let mut first = Extension::join(&app, "room", "user_c0gch0c").await;
    host.acked(json!({"type": "TOGGLE_GUEST_CONTROL", "enabled": true})).await;
    host.acked(json!({"type": "URL_CHANGE", "url": "https://example.org/watch/1?trackId=5"})).await;
    host.acked(json!({"type": "PLAY_PAUSE", "control": "play", "currentTime": 100})).await;
    fence_all(&mut [&mut host, &mut deputy, &mut guest, &mut first]).await;
    first.url_change("https://example.org/watch/1", 100_000.0).await;
    let version = guest.acked(json!({"type": "URL_CHANGE", "url": "https://EXAMPLE.org/watch/1/"})).await.version();
    deputy.acked(json!({"type": "URL_CHANGE", "url": "https://example.org/watch/1?trackId=6", "currentTime": 3})).await;
    quiet(&mut [&mut host, &mut deputy, &mut guest, &mut first]).await;
    let sync = first.sync().await;
    assert_eq!((&sync["isPlaying"], &sync["url"]), (&json!(true), &json!("https://example.org/watch/1?trackId=5")));
    // The host itself is followed.
    let change = json!({"type": "URL_CHANGE", "url": "https://example.org/watch/1", "currentTime": 200});
    assert!(host.acked(change).await.version() > version);
    let change = guest.until("URL_CHANGE").await;
    assert_eq!((&change["url"], &change["timeline"]["playing"]), (&json!("https://example.org/watch/1"), &json!(true)));
}
