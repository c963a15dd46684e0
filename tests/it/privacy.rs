//! What nobody may read anywhere: PINs, tokens, what WebRTC says, and the addresses of clients.

use serde_json::{Value, json};

use tandem_testkit::{Client, TestApp, client::Connect};

const PIN: &str = "739153";
const WRONG_PIN: &str = "846205";
const GUESS: &str = "0123456789abcdef0123456789abcdee";
const SDP: &str = "sdp-secret-text";
const ICE: &str = "ice-secret-text";
const CHAT: &str = "chat-secret-text";
const DIRECT: &str = "direct-secret-text";
const SECRET: &str = "the secret of this deployment";
const TURN_SECRET: &str = "the secret of the turn servers";
const ADDRESS: &str = "203.0.113.77";
const SIX: &str = "2001:db8:1:2:3:4:5:6";

/// Plays each secret through everything: those who may and those who may not, whole frames and broken ones. Returns the tokens, and what was
/// told of the room meanwhile.
async fn play(app: &TestApp) -> (Vec<String>, String) {
    let from = |address| Connect { headers: address, ..Connect::default() };
    let mut host = Client::connect_with(app, from(&[("X-Forwarded-For", ADDRESS)])).await;
    let state = host.enter("lounge", "host", json!({"features": ["resume"], "pin": PIN})).await;
    let mut guest = Client::connect_with(app, from(&[("X-Forwarded-For", SIX)])).await;
    let guests = guest.enter("lounge", "guest", json!({"features": ["resume"], "pin": PIN})).await;
    for frame in [
        json!({"type": "OFFER", "to": "guest", "offer": {"type": "offer", "sdp": SDP}}),
        json!({"type": "ICE_CANDIDATE", "to": "guest", "candidate": {"candidate": ICE}}),
        json!({"type": "BROADCAST", "event": "chat", "data": CHAT}),
        json!({"type": "BROADCAST", "event": "chat", "data": DIRECT, "to": "guest"}),
    ] {
        host.acked(frame).await;
    }
    // Errors, which are explained, and may repeat what was sent to whoever sent it.
    for broken in [
        json!({"type": "OFFER", "to": "guest", "offer": SDP}),
        json!({"type": "ICE_CANDIDATE", "to": {"x": ICE}}),
        json!({"type": "BROADCAST", "event": {"x": CHAT}}),
        json!({"type": "JOIN", "roomId": "lounge", "userId": 7, "pin": PIN}),
    ] {
        host.send(broken).await;
        host.until("ERROR").await;
    }
    host.send_text(&format!("{{\"type\":\"OFFER\",\"offer\":{{\"sdp\":\"{SDP}")).await;
    host.until("ERROR").await;
    let mut stranger = Client::connect_with(app, from(&[("X-Forwarded-For", ADDRESS)])).await;
    stranger.send_join("lounge", "stranger", json!({"pin": WRONG_PIN})).await;
    stranger.expect_error("invalid_pin").await;
    let resume = |token: &str, state: &tandem_testkit::Frame| {
        json!({"type": "RESUME", "roomId": "lounge", "userId": "guest", "resumeToken": token, "epoch": state["epoch"],
            "version": state["version"], "features": ["resume"]})
    };
    stranger.send(resume(GUESS, &guests)).await;
    stranger.expect_error("unauthorized").await;
    guest.fence().await;
    guest.reset();
    host.until("MEMBER_AWAY").await;
    // It is kept for them.
    host.send(json!({"type": "OFFER", "to": "guest", "offer": {"type": "offer", "sdp": SDP}})).await;
    let mut guest = Client::connect_with(app, from(&[("X-Forwarded-For", SIX)])).await;
    guest.send(resume(state_token(&guests), &guests)).await;
    let resumed = guest.expect("RESUMED").await;
    // A PIN in a link, as people pass it on.
    app.get(&format!("/api/short-id/lounge?pin={PIN}")).await;
    app.get(&format!("/room/lounge?pin={PIN}")).await;
    let tokens =
        vec![state_token(&state).to_owned(), state_token(&guests).to_owned(), state_token(&resumed).to_owned()];
    // A foreign origin from a client with an address, so that a refusal is logged.
    app.http("GET", "/ws", &[("X-Forwarded-For", ADDRESS)]).await;
    let status = app.get("/status").await.body;
    drop((host, guest));
    app.audit_until(&["--type", "MEMBER_AWAY"], 2).await;
    (tokens, status)
}

fn state_token(frame: &tandem_testkit::Frame) -> &str {
    frame["resumeToken"].as_str().unwrap()
}

#[tokio::test]
async fn secrets_are_in_no_log_no_metric_no_status_no_ledger_and_no_last_words() {
    let settings = [
        ("LOG_LEVEL", "trace"),
        ("LOG_ADDRESSES", "none"),
        ("TRUST_PROXY_HOPS", "1"),
        ("STATUS_DETAIL", "rooms"),
        ("TANDEM_SECRET", SECRET),
        ("TURN_SECRET", TURN_SECRET),
        ("TURN_URLS", "turn:turn.example.org"),
    ];
    let mut app = TestApp::start_with(&settings).await;
    let (mut secrets, status) = play(&app).await;
    let words =
        [PIN, WRONG_PIN, GUESS, SDP, ICE, CHAT, DIRECT, SECRET, TURN_SECRET, ADDRESS, "2001:db8:1:2", "203.0.113"];
    secrets.extend(words.map(str::to_owned));
    let mut outputs = vec![
        ("/metrics", app.get("/metrics").await.body),
        ("/status", status),
        ("/ready", app.get("/ready").await.body),
        ("events", serde_json::to_string(&app.audit(&["--room", "lounge"]).await).unwrap()),
        ("config", app.run(&["config"]).await.stdout),
    ];
    assert!(outputs.iter().all(|(_, text)| text.len() > 10), "{outputs:?}");
    assert!(outputs[1].1.contains("lounge"), "{outputs:?}");
    for end in ["", "-wal"] {
        let file = format!("{}{end}", app.ledger_file().display());
        outputs.push(("ledger", String::from_utf8_lossy(&std::fs::read(file).unwrap_or_default()).into_owned()));
    }
    app.log_is_whole().await;
    // It dies at once, as after a bug in C.
    app.abort().await;
    app.exit(tandem_testkit::DEADLINE).await;
    outputs.push(("log", app.log()));
    assert!(app.log().contains("upgrade refused") && app.log().contains("joined"), "{}", app.log());
    for (what, text) in &outputs {
        for secret in &secrets {
            assert!(!text.contains(secret.as_str()), "{secret} in {what}:\n{text}");
        }
    }
}

/// The values of a field of all log lines.
fn values(app: &TestApp, field: &str) -> Vec<String> {
    app.log_lines().iter().filter_map(|line: &Value| line[field].as_str().map(str::to_owned)).collect()
}

#[tokio::test]
async fn addresses_in_the_log_are_whole_or_cut_or_left_out() {
    for (setting, four, six) in
        [("full", ADDRESS, SIX), ("truncated", "203.0.113.0/24", "2001:db8:1::/48"), ("none", "hidden", "hidden")]
    {
        let settings = [("LOG_ADDRESSES", setting), ("TRUST_PROXY_HOPS", "1"), ("LOG_LEVEL", "trace")];
        let app = TestApp::start_with(&settings).await;
        for address in [ADDRESS, SIX] {
            assert_eq!(app.http("GET", "/ws", &[("X-Forwarded-For", address)]).await.status, 426);
        }
        // What is hidden reads the same in both lines, so the second one is found by its place.
        app.log_lines_with(json!({"msg": "upgrade refused"}), 2).await;
        assert_eq!(values(&app, "client"), [four, six], "{setting}");
        if setting != "full" {
            app.log_is_whole().await;
            assert!(!app.log().contains(ADDRESS) && !app.log().contains(SIX), "{}", app.log());
            assert!(values(&app, "peer").iter().all(|peer| !peer.contains("127.0.0.1")), "{}", app.log());
        }
    }
}
