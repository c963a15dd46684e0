//! Bad input gets an ERROR with the reason; the socket stays open, and no other member notices.

mod fields;

use serde_json::json;

use tandem_testkit::{Client, TestApp, client::quiet, schema};

const PLENTY: [(&str, &str); 2] = [("MESSAGES_PER_SECOND", "100000"), ("MESSAGE_BURST", "100000")];

/// The host, who may do everything, and a member who must not notice anything.
async fn pair(app: &TestApp) -> (Client, Client) {
    let mut host = Client::join(app, "room", "host").await;
    let guest = Client::join(app, "room", "guest").await;
    host.expect("USER_JOINED").await;
    (host, guest)
}

/// Sends each text and expects this error for it, and no frame for other members.
async fn all_refused(app: &TestApp, texts: &[String], code: &str) {
    let (mut host, mut guest) = pair(app).await;
    for text in texts {
        println!("{text:.200}");
        host.send_text(text).await;
        host.expect_error(code).await;
        host.ping().await;
        quiet(&mut [&mut host, &mut guest]).await;
    }
    host.send(json!({"type": "PLAY_PAUSE", "control": "play"})).await;
    guest.expect("PLAY_PAUSE").await;
    // The same from a socket that is in no room.
    let mut stranger = Client::connect(app).await;
    for text in texts {
        stranger.send_text(text).await;
        let error = stranger.expect("ERROR").await;
        assert!(error["code"] == code || error["code"] == "not_joined", "{text:.200}: {error:?}");
    }
    stranger.ping().await;
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[tokio::test]
async fn what_is_no_json_object_is_refused() {
    let app = TestApp::start_with(&PLENTY).await;
    let texts = strings(&[
        "",
        " ",
        "{",
        "}",
        "[]",
        "[{\"type\":\"PING\"}]",
        "1",
        "null",
        "true",
        "\"PING\"",
        "PING",
        "{\"type\":\"PING\"",
        "{\"type\":\"PING\"}}",
        "{\"type\":\"PING\"}{\"type\":\"PING\"}",
        "{'type':'PING'}",
        "{\"type\":\"PING\",}",
        "{type:\"PING\"}",
        "{\"type\":\"PI\nNG\"}",
        "{\"type\":\"\\ud800\"}",
        "{\"type\":\"PING\",\"t0\":1e999}",
        "{\"type\":\"PING\",\"t0\":NaN}",
        "{\"type\":\"PING\",\"t0\":01}",
        "{\"type\":\"PING\",\"t0\":0x10}",
        "{\"type\":\"PLAY_PAUSE\",\"control\":\"play\",\"currentTime\":1e999}",
        "{\"type\":\"PLAY_PAUSE\",\"control\":\"play\",\"currentTime\":Infinity}",
        "{\"type\":\"SEEK\",\"currentTime\":-1e999,\"isPlaying\":true}",
        "{\"type\":\"UPDATE_USERNAME\",\"username\":\"\\ud800\"}",
        "{\"type\":\"UPDATE_USERNAME\",\"username\":\"\\udc00\\ud800\"}",
        "{\"type\":\"KICK\",\"targetUserId\":\"\\ud83d\"}",
        "\u{feff}{\"type\":\"PING\"}",
        "{\"a\":1}",
        "{}",
        "{\"type\":null}",
        "{\"type\":1}",
        "{\"type\":[\"PING\"]}",
        "{\"type\":{\"PING\":1}}",
        "{\"Type\":\"PING\"}",
    ]);
    all_refused(&app, &texts, "invalid_message").await;
}

#[tokio::test]
async fn unknown_types_are_refused_and_never_relayed() {
    let app = TestApp::start_with(&PLENTY).await;
    let mut texts = strings(&[
        "{\"type\":\"\"}",
        "{\"type\":\"ping\"}",
        "{\"type\":\"PING \"}",
        "{\"type\":\"PING\\u0000\"}",
        "{\"type\":\"__proto__\"}",
        "{\"type\":\"EVAL\",\"code\":\"1\"}",
    ]);
    texts.push(json!({"type": "X".repeat(60_000)}).to_string());
    // The server's own words.
    let theirs = schema::types("client");
    for word in schema::types("server").into_iter().filter(|word| !theirs.contains(word)) {
        texts.push(json!({"type": word, "userId": "guest", "hostUserId": "guest", "to": "guest"}).to_string());
    }
    all_refused(&app, &texts, "unknown_type").await;
}

/// Deep as `levels`, the frame itself being one.
fn nested(levels: usize, brackets: (&str, &str)) -> String {
    let inside = levels - 1;
    let data = format!("{}1{}", brackets.0.repeat(inside), brackets.1.repeat(inside));
    format!("{{\"type\":\"BROADCAST\",\"event\":\"deep\",\"data\":{data}}}")
}

#[tokio::test]
async fn nesting_has_a_limit() {
    let app = TestApp::start_with(&PLENTY).await;
    let (array, object) = (("[", "]"), ("{\"a\":", "}"));
    let mut texts: Vec<String> = [33, 34, 64, 128, 129, 1_000].map(|levels| nested(levels, array)).to_vec();
    texts.extend([33, 128, 1_000].map(|levels| nested(levels, object)));
    texts.push(nested(10_000, array));
    texts.push("[".repeat(60_000));
    texts.push("{\"a\":".repeat(10_000));
    texts.push(format!("{{\"type\":\"PING\",\"extra\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000)));
    all_refused(&app, &texts, "invalid_message").await;
    let mut ana = Client::join(&app, "other", "ana").await;
    for brackets in [array, object] {
        ana.send_text(&nested(32, brackets)).await;
        ana.expect("BROADCAST").await;
    }
    // Brackets in a text are no levels.
    ana.send(json!({"type": "BROADCAST", "event": "e", "data": "[{\\\"".repeat(1_000)})).await;
    ana.expect("BROADCAST").await;
}

#[tokio::test]
async fn size_has_two_limits() {
    let app = TestApp::start_with(&PLENTY).await;
    let (mut host, mut guest) = pair(&app).await;
    let sized = |bytes: usize| {
        let empty = json!({"type": "BROADCAST", "event": "e", "data": ""}).to_string();
        empty.replace("\"data\":\"\"", &format!("\"data\":\"{}\"", "x".repeat(bytes - empty.len())))
    };
    for bytes in [65_537, 100_000, 262_144] {
        host.send_text(&sized(bytes)).await;
        let error = host.expect_error("too_large").await;
        assert_eq!(error["retryable"], false);
        quiet(&mut [&mut host, &mut guest]).await;
    }
    host.send_text(&sized(65_536)).await;
    guest.expect("BROADCAST").await;
    // Much more is not even read.
    host.try_send_text(&sized(1024 * 1024)).await;
    let (frames, code) = host.closed().await;
    assert_eq!(code, Some(1009), "{frames:?}");
    assert_eq!(guest.expect("USER_LEFT").await["userId"], "host");
}

#[tokio::test]
async fn binary_frames_are_refused() {
    let app = TestApp::start_with(&PLENTY).await;
    let (mut host, mut guest) = pair(&app).await;
    for bytes in [vec![], b"{\"type\":\"PING\"}".to_vec(), vec![0, 255, 254], vec![0; 60_000]] {
        host.send_binary(bytes).await;
        host.expect_error("invalid_message").await;
        quiet(&mut [&mut host, &mut guest]).await;
    }
}

#[tokio::test]
async fn text_that_is_no_utf8_ends_only_its_own_socket() {
    let app = TestApp::start().await;
    let (mut host, mut guest) = pair(&app).await;
    host.send_bytes_as_text(b"{\"type\":\"PING\",\"x\":\"\xff\xfe\"}").await;
    let (frames, code) = host.closed().await;
    assert!(frames.iter().all(|frame| frame.is("ERROR")), "{frames:?}");
    assert!(code.is_none_or(|code| code == 1007), "{code:?}");
    guest.expect("USER_LEFT").await;
    guest.ping().await;
}

#[tokio::test]
async fn an_id_is_a_text_or_an_integer() {
    let app = TestApp::start_with(&PLENTY).await;
    let (mut host, mut guest) = pair(&app).await;
    let long = json!("x".repeat(65));
    for id in [json!(1.5), json!(true), json!({}), json!([]), json!([1]), long] {
        host.send(json!({"type": "PLAY_PAUSE", "control": "play", "id": id})).await;
        host.expect_error("invalid_message").await;
        quiet(&mut [&mut host, &mut guest]).await;
    }
    host.send_text("{\"type\":\"PLAY_PAUSE\",\"control\":\"play\",\"id\":123456789012345678901234567890}").await;
    host.expect_error("invalid_message").await;
    quiet(&mut [&mut host, &mut guest]).await;
}

/// An error does not repeat the whole input.
#[tokio::test]
async fn errors_are_short() {
    let app = TestApp::start_with(&PLENTY).await;
    let mut host = Client::join(&app, "room", "host").await;
    let long = "x".repeat(60_000);
    for frame in [
        json!({"type": long}),
        json!({"type": "PLAY_PAUSE", "control": long}),
        json!({"type": "SEEK", "currentTime": long, "isPlaying": true}),
        json!({"type": "SEEK", "currentTime": 1e300, "isPlaying": true}),
        json!({"type": "URL_CHANGE", "url": long}),
        json!({"type": "SET_ROLE", "targetUserId": "host", "role": long}),
        json!({"type": "OFFER", "to": long, "offer": {}}),
        json!({"type": "OFFER", "to": "host", "offer": long}),
    ] {
        host.send(frame).await;
        let error = host.expect("ERROR").await;
        assert!(
            error.str("message").len() <= 300,
            "{} bytes: {:.80}",
            error.str("message").len(),
            error.str("message")
        );
    }
}

/// Two readers of one text must not see two different frames.
#[tokio::test]
async fn duplicate_keys_mean_one_thing_for_all() {
    let app = TestApp::start_with(&PLENTY).await;
    let (mut host, mut guest) = pair(&app).await;
    for text in [
        r#"{"type":"PLAY_PAUSE","control":"play","control":"pause"}"#,
        r#"{"type":"PLAY_PAUSE","type":"PING","control":"play"}"#,
        r#"{"type":"PLAY_PAUSE","control":"play","currentTime":1,"currentTime":"x"}"#,
        r#"{"type":"BROADCAST","event":"a","event":"b","data":1,"data":2}"#,
        r#"{"type":"OFFER","to":"nobody","to":"guest","offer":{}}"#,
    ] {
        host.send_text(text).await;
        let mut got = host.fence().await;
        got.extend(guest.fence().await);
        println!("{text}: {got:?}");
        for frame in &got {
            if frame.is("PONG") || frame.is("ERROR") {
                continue;
            }
            for key in ["type", "control", "currentTime", "event", "data", "to"] {
                let needle = format!("\"{key}\":");
                assert!(format!("{frame:?}").matches(&needle).count() <= 1, "{frame:?}");
            }
        }
    }
    guest.ping().await;
}

/// What some JSON readers cannot read must not be passed on to them.
#[tokio::test]
async fn payloads_that_not_every_reader_can_read_are_not_relayed() {
    let app = TestApp::start_with(&PLENTY).await;
    let (mut host, mut guest) = pair(&app).await;
    for payload in ["\"\\ud800\"", "[\"\\udc00\"]", "{\"\\ud83d\":1}", "1e999", "[-1e999]"] {
        for text in [
            format!("{{\"type\":\"BROADCAST\",\"event\":\"e\",\"data\":{payload}}}"),
            format!("{{\"type\":\"OFFER\",\"to\":\"guest\",\"offer\":{{\"sdp\":{payload}}}}}"),
            format!("{{\"type\":\"RENEGOTIATE\",\"to\":\"guest\",\"negotiationId\":{payload}}}"),
        ] {
            println!("{text}");
            host.send_text(&text).await;
            host.expect_error("invalid_message").await;
            quiet(&mut [&mut host, &mut guest]).await;
        }
    }
}

#[tokio::test]
async fn odd_but_valid_ids_are_just_ids() {
    let app = TestApp::start_with(&PLENTY).await;
    let longest = "x".repeat(128);
    let mut seen = Vec::new();
    for name in [
        "__proto__",
        "constructor",
        "server",
        "a b",
        "../../etc/passwd",
        "<script>alert(1)</script>",
        "'; DROP TABLE room_events; --",
        "room:users",
        "{p}",
        "%00",
        "🦀",
        "\u{202e}reversed",
        "*",
        longest.as_str(),
    ] {
        // A user with the id "server" could send frames in the name of the server.
        let user = if name == "server" { "ana" } else { name };
        let (mut one, state) = Client::join_with(&app, name, user, json!({"features": ["ack"]})).await;
        assert_eq!((state.str("roomId"), state.str("hostUserId")), (name, user));
        one.acked(json!({"type": "OFFER", "to": user, "offer": {}})).await;
        one.acked(json!({"type": "PLAY_PAUSE", "control": "play"})).await;
        let events = app.audit_until(&["--room", name], 3).await;
        assert!(events.iter().all(|event| event["room_id"] == name), "{events:?}");
        seen.push(one);
    }
}

#[tokio::test]
async fn nobody_may_call_itself_server() {
    let app = TestApp::start().await;
    let mut liar = Client::connect(&app).await;
    liar.send_join("room", "server", json!({"features": []})).await;
    let error = liar.expect("ERROR").await;
    assert!(error["code"] == "invalid_message" || error["code"] == "forbidden", "{error:?}");
}
