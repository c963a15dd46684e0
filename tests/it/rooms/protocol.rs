//! docs/protocol.md, the general part: the first frames, versions, answers, the clock, ICE servers.

use base64::encode;
use hmac::{Hmac, Mac};
use serde_json::json;
use sha1::Sha1;
use tokio::task::JoinSet;

use tandem_testkit::{Client, Frame, TestApp, client::fence_all, now_ms};

mod base64 {
    /// RFC 4648, with padding.
    pub(super) fn encode(bytes: &[u8]) -> String {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut text = String::new();
        for chunk in bytes.chunks(3) {
            let mut group = 0_u32;
            for place in 0..3 {
                group = group << 8 | u32::from(chunk.get(place).copied().unwrap_or_default());
            }
            for place in 0..4 {
                let digit = DIGITS[(group >> (18 - 6 * place) & 63) as usize];
                text.push(if place <= chunk.len() { char::from(digit) } else { '=' });
            }
        }
        text
    }
}

#[tokio::test]
async fn the_first_conversation_of_the_document() {
    let app = TestApp::start().await;
    let mut ana = Client::connect(&app).await;
    ana.send(json!({"type": "JOIN", "roomId": "film-night", "userId": "ana", "username": "Ana", "pin": "123456",
        "features": ["resume", "ack"]}))
        .await;
    let state = ana.expect("ROOM_STATE").await;
    assert_eq!(state["roomId"], "film-night");
    assert_eq!(state["hostUserId"], "ana");
    assert_eq!(state["features"], json!(["resume", "ack"]));
    assert!(state.has("resumeToken"));
    assert_eq!(state["maxMessageBytes"], 65_536);
    assert!(state.int("pingIntervalMs") > 0);
    let me = state.user("ana");
    assert_eq!((&me["username"], &me["role"], &me["peerId"]), (&json!("Ana"), &json!("host"), &state["session"]));
    ana.send(json!({"type": "URL_CHANGE", "url": "https://example.org/film.mp4", "id": 1})).await;
    let change = ana.until("URL_CHANGE").await;
    assert_eq!((change.str("userId"), change.str("url")), ("ana", "https://example.org/film.mp4"));
    assert!(change.version() > state.version());
    let ack = ana.expect("ACK").await;
    assert_eq!((&ack["id"], ack.version()), (&json!(1), change.version()));
}

#[tokio::test]
async fn features_in_force_are_the_known_ones_that_were_asked_for() {
    let app = TestApp::start().await;
    // Each with its own user id, because a seat with `resume` belongs to one client.
    for (user, (asked, in_force)) in ["ana", "bea", "cleo", "dora"].into_iter().zip([
        (json!([]), json!([])),
        (json!(["clock"]), json!(["clock"])),
        (json!(["clock", "resume", "ack", "time-travel"]), json!(["resume", "ack", "clock"])),
        (json!(["ack", "ack", "", "ACK"]), json!(["ack"])),
    ]) {
        let mut client = Client::connect(&app).await;
        let state = client.enter("room", user, json!({"features": asked})).await;
        let mut got: Vec<&str> = state["features"].as_array().unwrap().iter().map(|f| f.as_str().unwrap()).collect();
        let mut wanted: Vec<&str> = in_force.as_array().unwrap().iter().map(|f| f.as_str().unwrap()).collect();
        got.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(got, wanted, "asked for {asked}");
        assert_eq!(state.has("resumeToken"), wanted.contains(&"resume"), "{state:?}");
    }
    let (_, state) = Client::join_with(&app, "room", "ben", json!({})).await;
    assert_eq!(state["features"], json!([]));
    assert!(!state.has("resumeToken"));
}

#[tokio::test]
async fn every_member_gets_the_same_frames_in_the_same_order() {
    let app = TestApp::start_with(&[("MESSAGES_PER_SECOND", "10000"), ("MESSAGE_BURST", "10000")]).await;
    let mut members = Vec::new();
    for number in 0..6 {
        members.push(Client::join(&app, "room", &format!("m{number}")).await);
    }
    fence_all(&mut members.iter_mut().collect::<Vec<_>>()).await;
    // All talk at once.
    let mut tasks = JoinSet::new();
    for (number, mut member) in members.into_iter().enumerate() {
        tasks.spawn(async move {
            for round in 0..100 {
                let frame = json!({"type": "BROADCAST", "event": "e", "data": [number, round]});
                member.send(frame).await;
                if number == 0 {
                    let time = f64::from(round);
                    member.send(json!({"type": "PLAY_PAUSE", "control": "play", "currentTime": time})).await;
                }
            }
            let mut got = Vec::new();
            while got.len() < 700 {
                let frame = member.next().await;
                got.push((frame.int("epoch"), frame.version(), frame["data"].clone(), frame["currentTime"].clone()));
            }
            got
        });
    }
    let all = tasks.join_all().await;
    for got in &all {
        assert_eq!(got, &all[0]);
        assert!(got.windows(2).all(|pair| pair[0].0 == pair[1].0 && pair[0].1 < pair[1].1));
    }
    // And what one socket sent came in its own order.
    for number in 0..6_u64 {
        let rounds: Vec<u64> =
            all[0].iter().filter(|frame| frame.2[0] == number).map(|frame| frame.2[1].as_u64().unwrap()).collect();
        assert_eq!(rounds, (0..100).collect::<Vec<u64>>());
    }
}

#[tokio::test]
async fn versions_grow_with_every_change_and_acks_name_them() {
    let app = TestApp::start().await;
    let mut ana = Client::join(&app, "room", "ana").await;
    let mut ben = Client::join(&app, "room", "ben").await;
    ana.expect("USER_JOINED").await;
    let mut last = 0;
    for (id, frame, kind) in [
        (json!("a"), json!({"type": "PLAY_PAUSE", "control": "play", "currentTime": 1}), "PLAY_PAUSE"),
        (json!(7), json!({"type": "SEEK", "currentTime": 2, "isPlaying": false}), "SEEK_PAUSE"),
        (json!(-1), json!({"type": "URL_CHANGE", "url": "https://example.org/"}), "URL_CHANGE"),
        (json!(""), json!({"type": "TOGGLE_GUEST_CONTROL", "enabled": true}), "GUEST_CONTROL"),
        (json!("x".repeat(64)), json!({"type": "UPDATE_USERNAME", "username": "Anna"}), "USERNAME_UPDATED"),
        (json!(9_007_199_254_740_993_i64), json!({"type": "BROADCAST", "event": "e", "data": null}), "BROADCAST"),
        (json!("r"), json!({"type": "SET_ROLE", "targetUserId": "ben", "role": "co-host"}), "ROLE_CHANGED"),
        (json!("t"), json!({"type": "TRANSFER_HOST", "targetUserId": "ben"}), "HOST_CHANGED"),
    ] {
        let mut frame = frame;
        frame["id"] = id.clone();
        ana.send(frame).await;
        let seen = ben.until(kind).await;
        let answers = ana.collect_until(|answer| answer.is("ACK"), "ACK").await;
        let ack = answers.last().unwrap();
        assert_eq!(ack["id"], id);
        assert!(ack.version() >= seen.version() && seen.version() > last, "{ack:?} {seen:?} {last}");
        assert!(answers.iter().any(|answer| answer.is(kind) && answer.version() == seen.version()));
        last = ack.version();
    }
}

#[tokio::test]
async fn any_frame_with_an_id_is_answered_under_it() {
    let app = TestApp::start().await;
    let mut ana = Client::join(&app, "room", "ana").await;
    let mut ben = Client::connect(&app).await;
    ben.send_join("room", "ben", json!({"features": ["ack"], "id": "join"})).await;
    let answers = ben.collect_until(|answer| answer["id"] == "join", "the ACK of JOIN").await;
    assert!(answers.iter().any(|answer| answer.is("ROOM_STATE")), "{answers:?}");
    for frame in [
        json!({"type": "POSITION_UPDATE", "currentTime": 1, "isPlaying": true}),
        json!({"type": "READY", "targetTime": 1}),
        json!({"type": "REQUEST_SYNC"}),
        json!({"type": "OFFER", "to": "ana", "offer": {"sdp": "x"}}),
        json!({"type": "BYE", "to": "ana"}),
        json!({"type": "BROADCAST", "event": "e", "to": "ana"}),
        json!({"type": "PLAYBACK_ACK", "to": "ana", "control": "play"}),
    ] {
        ben.acked(frame).await;
    }
    ben.refused(json!({"type": "PLAY_PAUSE", "control": "play"}), "forbidden").await;
    ben.refused(json!({"type": "PLAY_PAUSE", "control": 5}), "invalid_message").await;
    ben.refused(json!({"type": "NO_SUCH_THING"}), "unknown_type").await;
    ben.refused(json!({"type": "OFFER", "to": "nobody", "offer": {}}), "not_joined").await;
    let mut stranger = Client::connect(&app).await;
    stranger.refused(json!({"type": "REQUEST_SYNC"}), "not_joined").await;
    ana.until("PLAYBACK_ACK").await;
}

#[tokio::test]
async fn every_error_says_whether_to_try_again() {
    let app = TestApp::start().await;
    let mut ana = Client::connect(&app).await;
    let error = ana.refused(json!({"type": "LEAVE"}), "not_joined").await;
    assert_eq!(error["retryable"], false);
    let error = ana.refused(json!({"type": "X"}), "unknown_type").await;
    assert_eq!(error["retryable"], false);
    let error = ana.refused(json!({"type": "JOIN", "roomId": 1, "userId": "a"}), "invalid_message").await;
    assert!(error.str("message").contains("roomId"), "the message names the field: {error:?}");
}

#[tokio::test]
async fn ping_tells_the_servers_clock() {
    let app = TestApp::start().await;
    let mut ana = Client::connect(&app).await;
    let before = now_ms();
    let pong = ana.ping().await;
    let after = now_ms();
    assert!(pong.int("t1") <= pong.int("t2"), "{pong:?}");
    // Two clocks that are rounded apart, of one machine.
    for stamp in ["t1", "t2", "timestamp"] {
        assert!((before - 50..=after + 50).contains(&pong.int(stamp)), "{before} {pong:?} {after}");
    }
    // The stamp may be any clock's, and comes back as it was.
    ana.send(json!({"type": "PING", "t0": 12})).await;
    assert_eq!(ana.expect("PONG").await.int("t0"), 12);
    ana.send(json!({"type": "PING"})).await;
    let plain = ana.expect("PONG").await;
    assert!(!plain.has("t0") && !plain.has("t1") && !plain.has("t2"), "{plain:?}");
    ana.enter("room", "ana", json!({})).await;
    ana.ping().await;
}

#[tokio::test]
async fn the_timeline_runs_by_the_rooms_clock() {
    let app = TestApp::start().await;
    let mut ana = Client::join(&app, "room", "ana").await;
    ana.send(json!({"type": "PLAY_PAUSE", "control": "play", "currentTime": 100, "rate": 2.0})).await;
    let play = ana.expect("PLAY_PAUSE").await;
    assert!((play.num("rate") - 2.0).abs() < f64::EPSILON);
    let line = &play["timeline"];
    assert_eq!((&line["playing"], line["rate"].as_f64()), (&json!(true), Some(2.0)));
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    let (_ben, state) = Client::join_with(&app, "room", "ben", json!({})).await;
    let line = &state["timeline"];
    let passed = state.int("serverTime") - line["at"].as_u64().unwrap();
    #[allow(clippy::cast_precision_loss)]
    let there = line["position"].as_f64().unwrap() + passed as f64 / 1000.0 * 2.0;
    assert!((state.num("currentTime") - there).abs() < 0.01, "{state:?}");
    assert!((100.5..110.0).contains(&state.num("currentTime")), "{state:?}");
    assert_eq!(state["isPlaying"], true);
    // The rate stays until another is given.
    ana.send(json!({"type": "PLAY_PAUSE", "control": "pause", "currentTime": 120})).await;
    let pause = ana.until("PLAY_PAUSE").await;
    assert_eq!(pause["timeline"]["playing"], false);
    assert!((pause["timeline"]["position"].as_f64().unwrap() - 120.0).abs() < f64::EPSILON);
}

#[tokio::test]
async fn the_hosts_position_corrects_the_timeline() {
    let app = TestApp::start().await;
    let mut ana = Client::join(&app, "room", "ana").await;
    let mut ben = Client::join(&app, "room", "ben").await;
    ana.send(json!({"type": "PLAY_PAUSE", "control": "pause", "currentTime": 100})).await;
    ben.expect("PLAY_PAUSE").await;
    let position = |client: &tandem_testkit::Frame| client.num("currentTime");
    // A guest's does not.
    ben.send(json!({"type": "POSITION_UPDATE", "currentTime": 500, "isPlaying": false})).await;
    ben.send(json!({"type": "REQUEST_SYNC"})).await;
    assert!((position(&ben.expect("SYNC_RESPONSE").await) - 100.0).abs() < 0.01);
    // Nor a little.
    ana.send(json!({"type": "POSITION_UPDATE", "currentTime": 100.3, "isPlaying": false})).await;
    // Later frames about her arrive after it, on any node.
    ana.send(json!({"type": "BROADCAST", "event": "said"})).await;
    ben.expect("BROADCAST").await;
    ben.send(json!({"type": "REQUEST_SYNC"})).await;
    assert!((position(&ben.expect("SYNC_RESPONSE").await) - 100.0).abs() < 0.01);
    ana.send(json!({"type": "POSITION_UPDATE", "currentTime": 200, "isPlaying": false})).await;
    // Later frames about her arrive after it, on any node.
    ana.send(json!({"type": "BROADCAST", "event": "said"})).await;
    ben.expect("BROADCAST").await;
    ben.send(json!({"type": "REQUEST_SYNC"})).await;
    assert!((position(&ben.expect("SYNC_RESPONSE").await) - 200.0).abs() < 0.01);
}

#[tokio::test]
async fn a_username_is_trimmed_and_cut() {
    let app = TestApp::start().await;
    let mut ana = Client::connect(&app).await;
    let state = ana.enter("room", "ana", json!({"username": "  A\u{7}n\u{0}a\n "})).await;
    assert_eq!(state.user("ana")["username"], "Ana");
    let long = "é".repeat(300);
    ana.send(json!({"type": "UPDATE_USERNAME", "username": long})).await;
    assert_eq!(ana.expect("USERNAME_UPDATED").await["username"], "é".repeat(64));
    ana.send(json!({"type": "UPDATE_USERNAME", "username": "🦀 <script>alert(1)</script>"})).await;
    assert_eq!(ana.expect("USERNAME_UPDATED").await["username"], "🦀 <script>alert(1)</script>");
}

#[tokio::test]
async fn request_sync_passes_respect_auto_play_on() {
    let app = TestApp::start().await;
    let mut ana = Client::join(&app, "room", "ana").await;
    for wish in [true, false] {
        ana.send(json!({"type": "REQUEST_SYNC", "respectAutoPlay": wish})).await;
        assert_eq!(ana.expect("SYNC_RESPONSE").await["respectAutoPlay"], wish);
    }
}

#[tokio::test]
async fn order_grows_with_every_member() {
    let app = TestApp::start().await;
    let mut ana = Client::join(&app, "room", "ana").await;
    let mut last = 0;
    for round in 0..4 {
        let ben = Client::join(&app, "room", "ben").await;
        let joined = ana.until("USER_JOINED").await;
        assert!(joined.int("order") > last, "round {round}");
        last = joined.int("order");
        ben.vanish();
        ana.until("USER_LEFT").await;
    }
}

#[tokio::test]
async fn leave_is_answered_with_a_close() {
    let app = TestApp::start().await;
    let mut ana = Client::join(&app, "room", "ana").await;
    let mut ben = Client::join(&app, "room", "ben").await;
    ana.send(json!({"type": "LEAVE"})).await;
    // The role goes on at once: leaving is no disconnect.
    let frames = ben.collect_until(|frame| frame.is("HOST_CHANGED"), "HOST_CHANGED").await;
    assert_eq!(frames.last().unwrap()["hostUserId"], "ben");
    if !frames.iter().any(|frame| frame.is("USER_LEFT")) {
        ben.expect("USER_LEFT").await;
    }
    assert_eq!(ana.closed().await.1, Some(1000));
}

#[tokio::test]
async fn turn_credentials_are_made_for_the_user() {
    let secret = "a secret for TURN";
    let app = TestApp::start_with(&[
        ("STUN_URLS", "stun:stun.example.org:3478"),
        ("TURN_URLS", "turn:turn.example.org:3478?transport=udp,turns:turn.example.org:5349"),
        ("TURN_SECRET", secret),
        ("TURN_TTL_SECONDS", "3600"),
    ])
    .await;
    let (mut ana, state) = Client::join_with(&app, "room", "ana", json!({"features": ["resume"]})).await;
    let servers = state["iceServers"].as_array().unwrap();
    let text = state["iceServers"].to_string();
    for url in ["stun:stun.example.org:3478", "turn:turn.example.org:3478?transport=udp", "turns:turn.example.org:5349"]
    {
        assert!(text.contains(url), "{text}");
    }
    assert!(!text.contains(secret));
    let mut checked = 0;
    for server in servers.iter().filter(|server| server["urls"].to_string().contains("turn")) {
        let username = server["username"].as_str().unwrap();
        let (expiry, user) = username.split_once(':').unwrap();
        assert_eq!(user, "ana");
        let left = expiry.parse::<u64>().unwrap() - now_ms() / 1000;
        assert!((3590..=3600).contains(&left), "{left}");
        let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(username.as_bytes());
        assert_eq!(server["credential"], encode(&mac.finalize().into_bytes()));
        checked += 1;
    }
    assert!(checked > 0, "{text}");
    ana.ping().await;
}

#[tokio::test]
async fn ice_servers_can_be_given_whole() {
    let list = r#"[{"urls":["stun:a.example.org"]},{"urls":"turn:b.example.org","username":"u","credential":"c"}]"#;
    let app = TestApp::start_with(&[("ICE_SERVERS", list)]).await;
    let (_ana, state) = Client::join_with(&app, "room", "ana", json!({})).await;
    let text = state["iceServers"].to_string();
    assert!(text.contains("stun:a.example.org") && text.contains("turn:b.example.org"), "{text}");
}

#[tokio::test]
async fn turn_credentials_are_renewed_before_they_expire() {
    let app = TestApp::start_with(&[
        ("TURN_URLS", "turn:turn.example.org:3478"),
        ("TURN_SECRET", "secret"),
        ("TURN_TTL_SECONDS", "4"),
    ])
    .await;
    let (mut ana, state) = Client::join_with(&app, "room", "ana", json!({"features": ["ack"]})).await;
    // They count whole seconds: the first may be of the same one.
    let other = |frame: &Frame| frame.is("ICE_SERVERS") && frame["iceServers"] != state["iceServers"];
    ana.collect_until(other, "other credentials").await;
}

/// A name without anything that can be seen is none; what hides in a name, or turns the line around, is left out of it. Nobody is locked out.
#[tokio::test]
async fn a_username_can_be_seen() {
    let app = TestApp::start().await;
    let mut ana = Client::join(&app, "room", "ana").await;
    let nothing = [
        "\u{200b}",
        "\u{3164}",
        "\u{2800}",
        "\u{ad}",
        "\u{202e}",
        "\u{fe0f}",
        "\u{301}",
        "\u{e0041}",
        " \u{2066}\u{2069} ",
    ];
    for (number, name) in nothing.into_iter().enumerate() {
        // Of either generation.
        for extra in [json!({"username": name}), json!({"username": name, "features": []})] {
            let user = format!("user_{number}{}", extra.get("features").is_some());
            let mut client = Client::connect(&app).await;
            let state = client.enter("room", &user, extra).await;
            assert!(state.user(&user)["username"].is_null(), "{}: {state:?}", name.escape_unicode());
            client.close().await;
        }
        ana.acked(json!({"type": "UPDATE_USERNAME", "username": "Ana"})).await;
        ana.acked(json!({"type": "UPDATE_USERNAME", "username": name})).await;
        let (_, state) = Client::join_with(&app, "room", "late", json!({})).await;
        assert_eq!(state.user("ana")["username"], "Ana", "{}", name.escape_unicode());
    }
    let names = [
        ("\u{202e}anA\u{202c}", "anA"),
        ("\u{feff}A\u{200b}na\u{3164}", "Ana"),
        ("👩🏽\u{200d}🚀", "👩🏽\u{200d}🚀"),
        ("می\u{200c}خواهم", "می\u{200c}خواهم"),
    ];
    for (sent, shown) in names {
        ana.send(json!({"type": "UPDATE_USERNAME", "username": sent})).await;
        assert_eq!(ana.until("USERNAME_UPDATED").await["username"], shown);
        let (_, state) = Client::join_with(&app, "other", "ben", json!({"username": sent})).await;
        assert_eq!(state.user("ben")["username"], shown);
    }
}
