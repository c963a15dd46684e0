//! `tandem audit forget` on the ledger of a single node, which goes on.

use serde_json::json;

use tandem_testkit::{Client, TestApp};

const BOB: &str = "bob-7f3a";

/// The ends of the files of the ledger, with those that SQLite puts beside it, in which they are named.
fn named_in(app: &TestApp) -> Vec<&'static str> {
    let path = app.ledger_file();
    let is_named = |end: &&str| {
        let bytes = std::fs::read(format!("{}{end}", path.display())).unwrap_or_default();
        String::from_utf8_lossy(&bytes).contains("7f3a")
    };
    ["", "-wal", "-shm"].into_iter().filter(is_named).collect()
}

#[tokio::test]
async fn a_person_is_erased_from_the_file_itself_while_the_node_runs() {
    let app = TestApp::start().await;
    let mut bob = Client::join_with(&app, "lounge", BOB, json!({"features": []})).await.0;
    let mut ana = Client::join(&app, "lounge", "ana").await;
    let mut pest = Client::join(&app, "lounge", "pest").await;
    bob.acked(json!({"type": "UPDATE_USERNAME", "username": "Robert 7f3a"})).await;
    bob.acked(json!({"type": "KICK", "targetUserId": "pest", "reason": "rude 7f3a"})).await;
    pest.closed().await;
    app.audit_until(&["--type", "USER_KICKED"], 1).await;

    let forget = ["audit", "forget", "--user", BOB, "--yes"];
    let refused = app.run(&forget).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("they have a seat in [\"lounge\"]"), "{refused:?}");

    bob.send(json!({"type": "LEAVE"})).await;
    bob.closed().await;
    ana.until("HOST_CHANGED").await;
    app.audit_until(&["--type", "HOST_CHANGED"], 1).await;
    assert!(!named_in(&app).is_empty());
    let trial = app.run(&forget[..4]).await;
    assert!(trial.stdout.contains("nothing was erased") && trial.stdout.contains("1 mentions"), "{trial:?}");
    let events = app.audit(&["--room", "lounge"]).await.len();

    let done = app.run(&forget).await;
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(named_in(&app), [""; 0], "{done:?}");
    let left = app.audit(&["--room", "lounge"]).await;
    assert!(left.len() < events, "{left:?}");
    let kick = left.iter().find(|event| event["event_type"] == "USER_KICKED").unwrap();
    assert_eq!((&kick["user_id"], &kick["data"]["by"]), (&json!("pest"), &json!("forgotten")), "{kick}");

    // The node writes on, and the room is still there after a restart.
    ana.acked(json!({"type": "URL_CHANGE", "url": "https://example.org/film"})).await;
    app.audit_until(&["--type", "URL_CHANGE"], 1).await;
    let again = app.run(&forget).await;
    assert!(again.stdout.starts_with("erased before, at 20") && again.stdout.contains("erased: 0 events"), "{again:?}");
    assert_eq!(named_in(&app), [""; 0]);
}
