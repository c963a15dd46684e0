//! What a single node keeps of its rooms for those who come back, over all rooms.

use serde_json::{Value, json};

use crate::accounts::metric;
use tandem_testkit::{Client, Frame, TestApp, client::fence_all};

/// The frame with which a member comes back who has seen this state.
fn resume(room: &str, state: &Frame) -> Value {
    json!({"type": "RESUME", "roomId": room, "userId": "ben", "resumeToken": state.str("resumeToken"),
        "epoch": state.int("epoch"), "version": state.version(), "features": ["resume", "ack"]})
}

/// Ana in a room that Ben has left open, and how Ben comes back.
async fn room(app: &TestApp, name: &str) -> (Client, Value) {
    let mut ana = Client::join(app, name, "ana").await;
    let (mut ben, state) = Client::join_with(app, name, "ben", json!({"features": ["resume", "ack"]})).await;
    fence_all(&mut [&mut ana, &mut ben]).await;
    ben.reset();
    ana.expect("MEMBER_AWAY").await;
    (ana, resume(name, &state))
}

async fn say(ana: &mut Client, length: usize, times: usize) {
    let data = "x".repeat(length);
    for round in 1..=times {
        ana.send(json!({"type": "BROADCAST", "event": "e", "data": data})).await;
        if round % 20 == 0 || round == times {
            ana.fence().await;
        }
    }
}

#[tokio::test]
async fn the_histories_of_all_rooms_have_a_bound_and_the_longest_gives_way() {
    let settings = [
        ("MESSAGES_PER_SECOND", "100000"),
        ("MESSAGE_BURST", "100000"),
        ("RESUME_WINDOW_SECONDS", "300"),
        // It would hold all of it.
        ("OUTBOX_BYTES", "4194304"),
        ("HISTORY_BYTES", "200000"),
    ];
    let app = TestApp::start_with(&settings).await;
    let (mut quiet, ben_in_quiet) = room(&app, "quiet").await;
    say(&mut quiet, 2_000, 1).await;
    let (mut loud, ben_in_loud) = room(&app, "loud").await;
    // One room alone may have as much: 300 KB, in 100 updates.
    say(&mut loud, 3_000, 100).await;
    let bytes = metric(&app, "tandem_history_bytes").await;
    assert!((100_000..=200_000).contains(&bytes), "{bytes} bytes");
    let mut ben = Client::connect(&app).await;
    ben.send(ben_in_loud).await;
    assert_eq!(ben.expect("DISCONTINUITY").await["reason"], "history_gone");
    let mut ben = Client::connect(&app).await;
    ben.send(ben_in_quiet).await;
    ben.expect("RESUMED").await;
    let is_said = |frame: &Frame| frame["data"].as_str().is_some_and(|data| data.len() == 2_000);
    ben.collect_until(is_said, "what was said in the quiet room").await;
    app.until_it_says("HISTORY_BYTES").await;
}
