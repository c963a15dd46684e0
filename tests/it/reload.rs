//! SIGHUP: the settings that change while a node runs, and the others.

use serde_json::{Value, json};
use tandem::token::SigningKey;
use tandem_testkit::{
    Client, TestApp,
    client::{Connect, fence_all},
    now_ms,
};

const OLD: &str = "the-old-secret-of-forty-bytes-or-more-it-is";
const NEW: &str = "the-new-secret-of-forty-bytes-or-more-it-is";

fn token(secret: &str) -> String {
    let claims = json!({"sub": "ana", "exp": now_ms() / 1_000 + 600});
    SigningKey::secret(Some("app"), secret.as_bytes()).unwrap().sign(&claims).unwrap()
}

/// Has the node read these settings, and waits until the log says this.
async fn reload(app: &TestApp, settings: &str, says: &str, more: Value) -> Value {
    app.write_dot_env(settings);
    app.sighup().await;
    let mut fields = json!({"msg": format!("SIGHUP: {says}")});
    for (name, value) in more.as_object().unwrap() {
        fields[name] = value.clone();
    }
    app.log_line(fields).await
}

const CHANGED: &str = "a setting has changed";
const AT_START: &str = "a setting has changed that is read when the process starts";
const REFUSED: &str = "the settings cannot be used; those in force stay";

async fn status(app: &TestApp, origin: &str) -> u16 {
    let how = Connect { headers: &[("Origin", origin)], ..Connect::default() };
    match Client::try_connect(app, how).await {
        Ok(_) => 101,
        Err(answer) => answer.status().as_u16(),
    }
}

#[tokio::test]
async fn origins_and_limits_change_and_nobody_is_cut_off() {
    let app = TestApp::start_with(&[("MESSAGE_BURST", "300")]).await;
    let mut ana = Client::join(&app, "film", "ana").await;
    assert_eq!(status(&app, "https://evil.example").await, 101);
    reload(&app, "ALLOWED_ORIGINS=https://good.example\n", CHANGED, json!({"setting": "ALLOWED_ORIGINS", "level": 30}))
        .await;
    assert_eq!(status(&app, "https://evil.example").await, 403);
    assert_eq!(status(&app, "https://good.example").await, 101);
    reload(&app, "MAX_CONNECTIONS=1\n", CHANGED, json!({"setting": "MAX_CONNECTIONS", "value": "1"})).await;
    assert_eq!(
        status(&app, "https://evil.example").await,
        503,
        "the origins are the default again, and there is no place"
    );
    assert!(app.get("/metrics").await.body.contains("tandem_connections_max 1\n"));
    reload(&app, "ADDRESS_CAPS=sockets=1\n", CHANGED, json!({"setting": "ADDRESS_CAPS"})).await;
    assert_eq!(status(&app, "https://evil.example").await, 429);
    // The budget holds for sockets that are open.
    reload(&app, "MESSAGES_PER_SECOND=1\nMESSAGE_BURST=1\n", CHANGED, json!({"setting": "MESSAGES_PER_SECOND"})).await;
    fence_all(&mut [&mut ana]).await;
    for number in 0..8 {
        ana.send(json!({"type": "REQUEST_SYNC", "id": number})).await;
    }
    ana.until_refused(json!({"type": "REQUEST_SYNC"}), "rate_limited").await;
    // What the environment of the process has is stronger than the file.
    app.log_is_whole().await;
    assert!(!app.log().contains("\"MESSAGE_BURST\""), "{}", app.log());
}

#[tokio::test]
async fn what_cannot_change_is_told_and_what_is_wrong_changes_nothing() {
    const FIXED: &str = "STATUS_DETAIL=rooms\n";

    let app = TestApp::start_with(&[("LOG_LEVEL", "")]).await;
    let _ana = Client::join(&app, "film", "ana").await;
    let settings = format!("{FIXED}LOG_LEVEL=trace\n");
    reload(&app, &settings, AT_START, json!({"setting": "STATUS_DETAIL", "level": 40})).await;
    app.log_line(json!({"msg": "SIGHUP: a setting has changed", "setting": "LOG_LEVEL", "value": "trace"})).await;
    let _ben = Client::join(&app, "film", "ben").await;
    app.log_line(json!({"msg": "frame", "type": "JOIN"})).await;
    let told = reload(&app, &format!("{FIXED}\nMAX_CONNECTIONS=many\n"), REFUSED, json!({"level": 50})).await;
    assert!(told["error"].as_str().unwrap().contains("MAX_CONNECTIONS \"many\" (.env line 3)"), "{told}");
    app.write_dot_env(&format!("{FIXED}TANDEM_SECRET=hush\n"));
    app.sighup().await;
    let told = app.log_lines_with(json!({"msg": format!("SIGHUP: {REFUSED}")}), 2).await.remove(1);
    assert!(told["error"].as_str().unwrap().contains("TANDEM_SECRET"), "{told}");
    assert!(!app.log().contains("hush"), "{}", app.log());
    let _cid = Client::join(&app, "film", "cid").await;
    app.log_lines_with(json!({"msg": "frame", "type": "JOIN"}), 2).await;
    let settings = format!("{FIXED}TANDEM_SECRET=a-secret-of-16-bytes\n");
    reload(&app, &settings, AT_START, json!({"setting": "TANDEM_SECRET", "value": "********"})).await;
    app.log_line(json!({"msg": "SIGHUP: a setting has changed", "setting": "LOG_LEVEL", "value": "the default"})).await;
    app.sighup().await;
    app.log_line(json!({"msg": "SIGHUP: no setting has changed"})).await;
}

#[tokio::test]
async fn keys_are_exchanged_while_everybody_stays() {
    const MORE: &str = "MAX_CONNECTIONS=1000\n";

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("key");
    std::fs::write(&file, OLD).unwrap();
    let keys = format!("app=HS256:@{}", file.display());
    let app = TestApp::start_with(&[("AUTH_MODE", "token"), ("AUTH_KEYS", &keys)]).await;
    let join = async |secret| {
        let mut client = Client::connect(&app).await;
        client.send_join("film", "ana", json!({"features": [], "token": token(secret)})).await;
        let answer = client.next().await;
        (answer["type"].as_str().unwrap().to_owned(), client)
    };
    let (answer, mut ana) = join(OLD).await;
    assert_eq!((answer.as_str(), join(NEW).await.0.as_str()), ("ROOM_STATE", "ERROR"));
    std::fs::write(&file, "short").unwrap();
    let told = reload(&app, MORE, REFUSED, json!({"level": 50})).await;
    assert!(told["error"].as_str().unwrap().contains("AUTH_KEYS"), "{told}");
    assert_eq!(join(NEW).await.0, "ERROR");
    ana.send(json!({"type": "REQUEST_SYNC"})).await;
    ana.until("SYNC_RESPONSE").await;
    std::fs::write(&file, NEW).unwrap();
    reload(&app, MORE, "the files of AUTH_KEYS have changed; their keys are in force", json!({})).await;
    // It was refused together with the keys.
    app.log_line(json!({"msg": "SIGHUP: a setting has changed", "setting": "MAX_CONNECTIONS"})).await;
    assert!(app.get("/metrics").await.body.contains("tandem_connections_max 1000\n"));
    ana.send(json!({"type": "REQUEST_SYNC"})).await;
    ana.until("SYNC_RESPONSE").await;
    assert_eq!(join(OLD).await.0, "ERROR");
    assert_eq!(join(NEW).await.0, "ROOM_STATE");
}
