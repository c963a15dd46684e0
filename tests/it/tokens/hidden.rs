//! Tokens are written down nowhere: not those that are good, and not those that are refused.

use serde_json::{Value, json};
use tandem_testkit::{Client, DEADLINE, TestApp, client::Connect, now_ms};

use super::{KEYS, SECRET, token};

/// Shows a token in each way in which it can be shown.
async fn show(app: &TestApp, shown: &str) {
    let (auth, offered) = (format!("Bearer {shown}"), format!("tandem, tandem.bearer.{shown}"));
    let url = format!("/ws?room=film&user=ana&features=resume&token={shown}");
    let closing = format!("{url}&refuse=close");
    for (headers, path) in [
        (vec![("Authorization", auth.as_str())], None),
        (vec![("Sec-WebSocket-Protocol", offered.as_str())], None),
        (vec![("Authorization", auth.as_str()), ("Sec-WebSocket-Protocol", "tandem.bearer.other")], None),
        (vec![], Some(url.as_str())),
        (vec![], Some(closing.as_str())),
    ] {
        let headers: Vec<_> = headers.into_iter().collect();
        let how = Connect { headers: &headers, path, ..Connect::default() };
        if let Ok(mut client) = Client::try_connect(app, how).await {
            // One that is refused by a close may be gone already.
            if path.is_none() {
                client.send_join("film", "ana", json!({"features": ["resume"]})).await;
            }
            let _ = client.poll(DEADLINE).await;
        }
    }
    for frame in [
        json!({"type": "JOIN", "roomId": "film", "userId": "ana", "features": ["resume"], "token": shown}),
        json!({"type": "JOIN", "roomId": "film", "userId": "ben", "features": [], "token": shown}),
        json!({"type": "JOIN", "roomId": "film", "userId": 7, "features": [], "token": shown}),
        json!({"type": "JOIN", "roomId": "film", "userId": "ana", "features": [], "token": [shown]}),
        json!({"type": "RESUME", "roomId": "film", "userId": "ana", "resumeToken": shown, "epoch": 1, "version": 1,
            "features": [], "token": shown}),
        json!({"type": "REFRESH_TOKEN", "token": shown}),
        json!({"type": shown, "token": shown}),
    ] {
        let mut client = Client::connect(app).await;
        client.send(frame).await;
        let _ = client.poll(DEADLINE).await;
    }
    // In a path that leads nowhere, as a request that is no upgrade, and in a frame that is cut off.
    app.get(&url).await;
    app.get(&format!("/no/such/path?token={shown}")).await;
    app.http("GET", "/status", &[("Authorization", &auth), ("Cookie", &auth)]).await;
    let mut client = Client::connect(app).await;
    client.send_text(&format!("{{\"type\":\"JOIN\",\"token\":\"{shown}")).await;
    client.expect("ERROR").await;
}

#[tokio::test]
async fn no_token_is_in_any_log_metric_status_ledger_or_crash() {
    let settings = [
        ("AUTH_MODE", "mixed"),
        ("AUTH_KEYS", KEYS),
        ("AUTH_URL_TOKEN", "true"),
        ("LOG_LEVEL", "trace"),
        ("STATUS_DETAIL", "rooms"),
    ];
    let mut app = TestApp::start_with(&settings).await;
    let own = |more: Value| token("ana", &more);
    let good = own(json!({"jti": "a-name-of-a-token"}));
    let forged = format!("{}A", own(json!({"jti": "forged"})));
    let tokens = [
        good.clone(),
        own(json!({"exp": now_ms() / 1_000 - 500})),
        own(json!({"room": "other"})),
        own(json!({"aud": "elsewhere"})),
        own(json!({"rights": []})),
        own(json!({"metadata": "x".repeat(4_000)})),
        forged,
        "xxxxxxxxxxxxxxxx.yyyyyyyyyyyyyyyyyyyy.zzzzzzzzzzzzzzzzzzzzzzzzzzz".to_owned(),
    ];
    for shown in &tokens {
        show(&app, shown).await;
    }
    // One that holds is shown once more by whoever is in.
    let mut ana = Client::connect(&app).await;
    ana.enter("film", "ana", json!({"features": ["ack"], "token": good})).await;
    ana.acked(json!({"type": "REFRESH_TOKEN", "token": good})).await;
    let mut outputs = vec![
        ("/metrics", app.get("/metrics").await.body),
        ("/status", app.get("/status").await.body),
        ("/ready", app.get("/ready").await.body),
        ("config", app.run(&["config"]).await.stdout),
        ("events", serde_json::to_string(&app.audit_until(&["--room", "film"], 1).await).unwrap()),
    ];
    for (place, word) in [(0, "tandem_tokens_refused_total"), (1, "film"), (3, "AUTH_MODE"), (4, "film")] {
        assert!(outputs[place].1.contains(word), "{:?}", outputs[place]);
    }
    app.log_is_whole().await;
    // It dies at once, as after a bug in C.
    app.abort().await;
    app.exit(DEADLINE).await;
    for end in ["", "-wal"] {
        let file = format!("{}{end}", app.ledger_file().display());
        outputs.push(("ledger", String::from_utf8_lossy(&std::fs::read(file).unwrap_or_default()).into_owned()));
    }
    outputs.push(("log", app.log()));
    for word in ["upgrade refused", "refused", "joined", "\"fault\":\"expired\"", "\"type\":\"REFRESH_TOKEN\""] {
        assert!(app.log().contains(word), "{word} in {}", app.log());
    }
    // Not a part of any is there: neither claims nor signatures.
    let parts = tokens.iter().flat_map(|token| token.split('.').skip(1)).map(|part| &part[..part.len().min(40)]);
    for secret in parts.chain([SECRET, "a-name-of-a-token"]) {
        for (what, text) in &outputs {
            let place = text.find(secret).map(|at| text[..at].chars().rev().take(300).collect::<String>());
            assert_eq!(place.map(|text| text.chars().rev().collect::<String>()), None, "{secret} in {what}");
        }
    }
}
