//! A party of two extensions as it crossed the wire, replayed: a film is chosen, a guest comes, the two connect, pause,
//! play, seek, and go. `fixtures/party.jsonl` holds what they sent, and what each must get for it (the fields that count).

use std::collections::{HashMap, VecDeque};

use serde_json::{Value, json};

use tandem_testkit::{Client, Frame, TestApp, client::Connect, extension::ORIGIN};

const PARTY: &str = include_str!("../fixtures/party.jsonl");

struct Player {
    client: Client,
    // Frames that came while a fence was waited for.
    early: VecDeque<Frame>,
}

impl Player {
    async fn send(&mut self, frame: Value) {
        self.client.send(frame.clone()).await;
        if frame["type"] == "POSITION_UPDATE" {
            // Nothing answers it; the others' next frames must find it done.
            let t0 = tandem_testkit::now_ms();
            self.client.send(json!({"type": "PING", "t0": t0})).await;
            let mut frames = self.client.collect_until(|frame| frame.is("PONG"), "PONG").await;
            frames.pop();
            self.early.extend(frames);
        }
    }

    async fn next(&mut self) -> Frame {
        loop {
            let frame = match self.early.pop_front() {
                Some(frame) => frame,
                None => self.client.next().await,
            };
            // A host without heartbeats is reminded of its role after a while, and a slow machine takes a while.
            if !(frame.is("HOST_CHANGED") && frame["hostUserId"] == "user_a11ce0") {
                return frame;
            }
        }
    }
}

fn assert_matches(expected: &Value, frame: &Frame) {
    for (field, value) in expected.as_object().unwrap() {
        let same = match (value.as_f64(), frame[field].as_f64()) {
            (Some(wanted), Some(got)) => (wanted - got).abs() < 1e-6,
            _ => frame[field] == *value,
        };
        assert!(same, "{field} is not {value} in {frame:?}");
    }
}

#[tokio::test]
async fn a_recorded_party_goes_as_it_went() {
    let app = TestApp::start().await;
    let mut players: HashMap<u64, Player> = HashMap::new();
    for (number, line) in PARTY.lines().enumerate() {
        let step: Value = serde_json::from_str(line).unwrap();
        let id = step["c"].as_u64().unwrap();
        println!("{}: {line:.160}", number + 1);
        if step["open"] == true {
            let headers = [("Origin", ORIGIN)];
            let client = Client::connect_with(&app, Connect { headers: &headers, ..Connect::default() }).await;
            players.insert(id, Player { client, early: VecDeque::new() });
        } else if step["close"] == true {
            players.remove(&id).unwrap().client.close().await;
        } else if step["send"].is_object() {
            players.get_mut(&id).unwrap().send(step["send"].clone()).await;
        } else {
            let frame = players.get_mut(&id).unwrap().next().await;
            assert_matches(&step["expect"], &frame);
        }
    }
    let types = ["ROOM_CREATED", "USER_JOINED", "URL_CHANGE", "PLAY_PAUSE", "SEEK", "USER_LEFT"];
    let events = app.audit_until(&["--room", "default_room_1795295285000"], 10).await;
    for name in types {
        assert!(events.iter().any(|event| event["event_type"] == name), "no {name} in {events:#?}");
    }
}
