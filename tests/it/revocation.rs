//! Revoked tokens and invitations on a single node.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tandem_testkit::{Client, DEADLINE, TestApp};

use crate::{
    accounts::metric,
    tokens::{KEYS, token},
};

async fn app() -> TestApp {
    TestApp::start_with(&[("AUTH_MODE", "mixed"), ("AUTH_KEYS", KEYS)]).await
}

async fn revoke(app: &TestApp, args: &[&str]) -> String {
    let done = app.run(&[&["revoke"], args].concat()).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    done.stdout
}

async fn enter(app: &TestApp, room: &str, user: &str, claims: &Value) -> Client {
    let mut client = Client::connect(app).await;
    client.enter(room, user, json!({"features": ["resume"], "token": token(user, claims)})).await;
    client
}

async fn refused(app: &TestApp, room: &str, user: &str, token: &str) -> String {
    let mut client = Client::connect(app).await;
    client.send_join(room, user, json!({"features": [], "token": token})).await;
    client.until("ERROR").await.str("code").to_owned()
}

#[tokio::test]
async fn whoever_is_inside_with_a_revoked_token_is_out() {
    let app = app().await;
    let stolen = json!({"jti": "stolen"});
    let mut ana = enter(&app, "film", "ana", &stolen).await;
    let mut ben = enter(&app, "film", "ben", &json!({"jti": "good"})).await;
    let mut guest = Client::connect(&app).await;
    guest.enter("film", "guest", json!({"features": ["resume"]})).await;
    let said = revoke(&app, &["--jti", "stolen"]).await;
    assert_eq!(ana.closed().await.1, Some(4501));
    assert!(said.contains("stolen"), "{said}");
    // Its seat is not kept, although it could resume.
    assert_eq!(ben.until("USER_LEFT").await["userId"], "ana");
    assert_eq!(refused(&app, "film", "ana", &token("ana", &stolen)).await, "unauthorized");
    enter(&app, "film", "ana", &json!({"jti": "new"})).await;
    for client in [&mut ben, &mut guest] {
        client.until("USER_JOINED").await;
        client.send(json!({"type": "REQUEST_SYNC"})).await;
        client.until("SYNC_RESPONSE").await;
    }
    assert_eq!(metric(&app, "tandem_revocations").await, 1);
    assert_eq!(metric(&app, "tandem_tokens_refused_total{why=\"revoked\"}").await, 1);
}

#[tokio::test]
async fn by_user_and_by_room_those_issued_before_are_revoked() {
    let app = app().await;
    let old = json!({"iat": tandem_testkit::now_ms() / 1_000 - 5});
    let mut ana = enter(&app, "film", "ana", &old).await;
    let mut elsewhere = enter(&app, "other", "ben", &old).await;
    let mut here = enter(&app, "film", "ben", &old).await;
    revoke(&app, &["--user", "ana"]).await;
    assert_eq!(ana.closed().await.1, Some(4501));
    assert_eq!(refused(&app, "film", "ana", &token("ana", &old)).await, "unauthorized");
    assert_eq!(refused(&app, "film", "ana", &token("ana", &json!({"iat": null}))).await, "unauthorized");
    let later = json!({"iat": tandem_testkit::now_ms() / 1_000 + 2});
    enter(&app, "film", "ana", &later).await;
    revoke(&app, &["--room", "film"]).await;
    loop {
        if let tandem_testkit::Incoming::Closed(code) = here.poll(DEADLINE).await.expect("a close") {
            assert_eq!(code, Some(4501));
            break;
        }
    }
    assert_eq!(refused(&app, "film", "cid", &token("cid", &old)).await, "unauthorized");
    elsewhere.send(json!({"type": "REQUEST_SYNC"})).await;
    elsewhere.until("SYNC_RESPONSE").await;
    let listed = revoke(&app, &["--list"]).await;
    assert!(listed.contains("user  ana") && listed.contains("room  film"), "{listed}");
}

#[tokio::test]
async fn a_revocation_outlives_the_process_and_is_known_before_anybody_comes_in() {
    let mut app = app().await;
    let stolen = token("ana", &json!({"jti": "stolen"}));
    revoke(&app, &["--jti", "stolen"]).await;
    for _ in 0..3 {
        app.abort().await;
        app.exit(DEADLINE).await;
        app = app.restart().await;
        assert_eq!(refused(&app, "film", "ana", &stolen).await, "unauthorized");
    }
}

#[tokio::test]
async fn an_invitation_is_revoked_by_its_name_or_with_its_room() {
    let app = app().await;
    let invite = || app.run(&["token", "invite", "--room", "film"]);
    let (one, two) = (invite().await.stdout, invite().await.stdout);
    let said = app.run(&["token", "verify", one.trim()]).await.stdout;
    let name = said.lines().find_map(|line| line.strip_prefix("invitation ")).expect(&said).trim().to_owned();
    revoke(&app, &["--jti", &name]).await;
    let code = async |invitation: &str| {
        let mut client = Client::connect(&app).await;
        client.send_join("film", "ana", json!({"features": [], "invite": invitation.trim()})).await;
        let answer = client.next().await;
        answer["code"].as_str().unwrap_or_default().to_owned()
    };
    let begun = Instant::now();
    while code(&one).await != "invalid_invitation" {
        assert!(begun.elapsed() < DEADLINE);
    }
    assert_eq!(code(&two).await, "");
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    revoke(&app, &["--room", "film"]).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(code(&two).await, "invalid_invitation");
}

#[tokio::test]
async fn wrong_commands_say_what_is_missing() {
    let app = app().await;
    for (args, says) in [
        (vec!["revoke"], "--jti"),
        (vec!["revoke", "--user", ""], "--user"),
        (vec!["revoke", "--list", "--jti", "x"], "--list"),
        (vec!["revoke", "--jti", "x", "--issued-before", "yesterday"], "--issued-before"),
        (vec!["revoke", "--jti", "x", "--issued-before", "1960-01-01T00:00:00Z"], "1970"),
    ] {
        let output = app.run(&args).await;
        assert_eq!(output.code, Some(64), "{args:?}");
        assert!(output.stderr.contains(says), "{args:?}: {}", output.stderr);
    }
    let nowhere = app.run(&["revoke", "--jti", "x", "--data-dir", "/nowhere"]).await;
    assert_eq!(nowhere.code, Some(1));
    assert!(nowhere.stderr.contains("REDIS_URL"), "{}", nowhere.stderr);
}
