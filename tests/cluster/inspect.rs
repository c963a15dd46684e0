//! `tandem inspect`: what people see of records.

use std::process::{Command, Output};

use serde_json::{Value, json};
use tandem::{backend::Layout, id::RoomId};
use tandem_testkit::{Client, backing::NO_DATABASE, redis::Redis};

use crate::nodes::Nodes;

fn inspect(url: &str, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tandem"));
    command.arg("inspect").args(args).env_clear().env("REDIS_URL", url).output().unwrap()
}

fn shown(url: &str, args: &[&str]) -> Value {
    let output = inspect(url, args);
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_its_history_and_the_ledgers_entries_are_shown_as_json() {
    let redis = Redis::start();
    let url = redis.url();
    let nodes = Nodes::start(1, &[("REDIS_URL", &url), ("DATABASE_URL", NO_DATABASE)]).await;
    let mut ana = Client::connect_to(nodes.addr(0)).await;
    ana.enter("film", "ana", json!({"features": ["resume"]})).await;
    ana.send(json!({"type": "PLAY_PAUSE", "control": "play", "currentTime": 61.5})).await;
    let version = ana.until("PLAY_PAUSE").await.int("version");

    let room = shown(&url, &["--room", "film"]);
    assert_eq!((&room["version"], &room["host"]), (&json!(version), &json!("ana")));
    assert_eq!((&room["timeline"]["position"], &room["timeline"]["playing"]), (&json!(61.5), &json!(true)));
    assert_eq!(room["members"]["ana"]["user"], "ana");

    let (layout, id) = (Layout::new("tandem:", 16), RoomId::parse("film").unwrap());
    let history = shown(&url, &[&layout.history(&id)]);
    let last = &history.as_array().unwrap().last().unwrap()["changes"][0];
    assert_eq!(last["PlayPause"]["playback"], json!({"position": 61.5, "playing": true, "rate": 1.0}));

    let events = layout.events(layout.partition(&id));
    let entries = shown(&url, &[&events]);
    assert_eq!(entries.as_array().unwrap().last().unwrap()["entry"]["update"]["changes"][0], *last);
    assert_eq!(shown(&url, &["--limit", "1", &events]).as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_shown_says_why() {
    let redis = Redis::start();
    let url = redis.url();
    let failed = |args: &[&str], why: &str| {
        let output = inspect(&url, args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(said.contains(why) && output.stdout.is_empty(), "{said}");
    };
    failed(&["--room", "nowhere"], "Redis has no key tandem:{");
    let key = Layout::new("tandem:", 16).room(&RoomId::parse("odd").unwrap());
    redis.command(&format!("HSET {key} v 1 e 1 room 9"));
    failed(&["--room", "odd"], "a newer release wrote it");
    let mut none = Command::new(env!("CARGO_BIN_EXE_tandem"));
    let output = none.args(["inspect", "--room", "x"]).env_clear().output().unwrap();
    assert_eq!(output.status.code(), Some(64), "{output:?}");
}
