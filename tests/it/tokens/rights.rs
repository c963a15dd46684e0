//! What a token does not allow, nobody gets over the wire.

use serde_json::{Value, json};
use tandem_testkit::{Client, Frame, client::quiet};

use super::{app, refused, token, with};

/// Ana leads, and ben comes in with these claims.
async fn pair(app: &tandem_testkit::TestApp, claims: &Value) -> (Client, Client) {
    let mut ana = Client::connect(app).await;
    ana.enter("film", "ana", with(&token("ana", &json!({"role": "host"})))).await;
    let mut ben = Client::connect(app).await;
    ben.enter("film", "ben", with(&token("ben", claims))).await;
    ana.expect("USER_JOINED").await;
    (ana, ben)
}

/// All are refused, and nobody else hears of any.
async fn none_of(ben: &mut Client, ana: &mut Client, frames: &[Value]) {
    for frame in frames {
        ben.refused(frame.clone(), "forbidden").await;
    }
    quiet(&mut [ana]).await;
}

fn moderation() -> Vec<Value> {
    vec![
        json!({"type": "KICK", "targetUserId": "ana"}),
        json!({"type": "BAN", "targetUserId": "eve"}),
        json!({"type": "UNBAN", "targetUserId": "eve"}),
        json!({"type": "LIST_BANS"}),
        json!({"type": "LOCK_ROOM", "locked": true}),
        json!({"type": "SET_PIN", "pin": "1234"}),
        json!({"type": "TOGGLE_GUEST_CONTROL", "enabled": true}),
        json!({"type": "SET_ROLE", "targetUserId": "ana", "role": "member"}),
        json!({"type": "TRANSFER_HOST", "targetUserId": "ana"}),
    ]
}

fn playback() -> Vec<Value> {
    vec![
        json!({"type": "PLAY_PAUSE", "control": "play", "currentTime": 9}),
        json!({"type": "SEEK", "currentTime": 9, "isPlaying": false}),
        json!({"type": "URL_CHANGE", "url": "https://example.org/other.mp4"}),
    ]
}

fn signals() -> Vec<Value> {
    vec![
        json!({"type": "OFFER", "to": "ana", "offer": {}}),
        json!({"type": "ANSWER", "to": "ana", "answer": {}}),
        json!({"type": "ICE_CANDIDATE", "to": "ana", "candidate": {}}),
        json!({"type": "RENEGOTIATE", "to": "ana"}),
        json!({"type": "BYE", "to": "ana"}),
        json!({"type": "PLAYBACK_ACK", "to": "ana", "control": "play"}),
    ]
}

fn words() -> Vec<Value> {
    vec![json!({"type": "BROADCAST", "event": "e"}), json!({"type": "BROADCAST", "event": "e", "to": "ana"})]
}

#[tokio::test]
async fn a_member_by_token_gets_no_other_role() {
    let app = app("token", &[]).await;
    let (mut ana, mut ben) = pair(&app, &json!({"role": "member"})).await;
    none_of(&mut ben, &mut ana, &moderation()).await;
    none_of(&mut ben, &mut ana, &playback()).await;
    // Nor is it given to them, by a host whom the application made one.
    for (kind, role) in [("SET_ROLE", "co-host"), ("TRANSFER_HOST", "host")] {
        ana.refused(json!({"type": kind, "targetUserId": "ben", "role": role}), "forbidden").await;
    }
    // A new token of their own has the role that it says, and somebody else's is none.
    let stolen = token("ana", &json!({"role": "host"}));
    ben.refused(json!({"type": "REFRESH_TOKEN", "token": stolen}), "forbidden").await;
    none_of(&mut ben, &mut ana, &moderation()).await;
    // They lead in no room that they are the first in, either.
    let mut first = Client::connect(&app).await;
    let state = first.enter("empty", "eve", with(&token("eve", &json!({"role": "member"})))).await;
    assert_eq!(state["hostUserId"], Value::Null);
    first.refused(json!({"type": "LOCK_ROOM", "locked": true}), "forbidden").await;
    first.refused(json!({"type": "PLAY_PAUSE", "control": "play"}), "forbidden").await;
}

#[tokio::test]
async fn a_host_by_token_without_a_right_has_all_but_that() {
    let all = ["join", "control", "broadcast", "signal", "moderate"];
    for missing in &all[1..] {
        let app = app("token", &[]).await;
        let rights: Vec<_> = all.iter().filter(|right| *right != missing).collect();
        let mut ana = Client::connect(&app).await;
        ana.enter("film", "ana", with(&token("ana", &json!({})))).await;
        let mut ben = Client::connect(&app).await;
        ben.enter("film", "ben", with(&token("ben", &json!({"role": "host", "rights": rights})))).await;
        ana.until("HOST_CHANGED").await;
        for (right, frames) in
            [("control", playback()), ("broadcast", words()), ("signal", signals()), ("moderate", moderation())]
        {
            if right == *missing {
                none_of(&mut ben, &mut ana, &frames).await;
                continue;
            }
            // But the last ones, which are about ana as host, and would end this.
            let harmless = |frame: &&Value| !matches!(frame["type"].as_str(), Some("KICK" | "TRANSFER_HOST"));
            for frame in frames.iter().filter(harmless) {
                ben.acked(frame.clone()).await;
            }
            ana.fence().await;
        }
    }
}

#[tokio::test]
async fn without_control_a_position_moves_nobody() {
    let app = app("token", &[]).await;
    let mut ana = Client::connect(&app).await;
    ana.enter("film", "ana", with(&token("ana", &json!({})))).await;
    let mut ben = Client::connect(&app).await;
    ben.enter("film", "ben", with(&token("ben", &json!({"role": "host", "rights": ["join"]})))).await;
    ben.send(json!({"type": "POSITION_UPDATE", "currentTime": 500, "isPlaying": false})).await;
    ben.refused(json!({"type": "HOST_HEARTBEAT", "currentTime": 500, "isPlaying": true}), "forbidden").await;
    let heard: Vec<Frame> = ana.fence().await;
    assert!(!heard.iter().any(|frame| frame.has("timeline")), "{heard:?}");
    ana.send(json!({"type": "REQUEST_SYNC"})).await;
    assert_eq!(ana.until("SYNC_RESPONSE").await["currentTime"], 0);
}

#[tokio::test]
async fn without_the_right_to_join_nobody_is_in() {
    let app = app("token", &[]).await;
    for rights in [json!([]), json!(["control", "broadcast", "signal", "moderate"])] {
        let mute = token("ben", &json!({"role": "host", "rights": rights}));
        assert_eq!(refused(&app, "ben", with(&mute)).await, ("forbidden".to_owned(), None));
    }
    // A right that nobody knows grants nothing.
    let odd = token("ben", &json!({"rights": ["JOIN", "admin", "*"]}));
    let (code, _) = refused(&app, "ben", with(&odd)).await;
    assert!(matches!(code.as_str(), "forbidden" | "unauthorized"), "{code}");
}
