//! Each action changes the metrics by exactly the right amount.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use tandem_testkit::{Client, DEADLINE, Frame, TestApp, connect::Connect};

/// The samples of `/metrics`, by name and labels.
struct Scrape(BTreeMap<String, f64>);

impl Scrape {
    async fn of(app: &TestApp) -> Self {
        let text = app.get("/metrics").await.body;
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let sample = |line: &str| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        };
        Self(lines.map(sample).collect())
    }

    fn get(&self, name: &str) -> f64 {
        *self.0.get(name).unwrap_or_else(|| panic!("no {name} in {:#?}", self.0.keys()))
    }

    /// The values of a metric with one label that are not zero.
    fn by_label(&self, name: &str) -> BTreeMap<&str, f64> {
        let of = self.0.iter().filter_map(|(key, value)| {
            let label = key.strip_prefix(name)?.strip_prefix('{')?.split('"').nth(1)?;
            (*value != 0.0).then_some((label, *value))
        });
        of.collect()
    }
}

async fn until(app: &TestApp, name: &str, value: f64) {
    let begun = Instant::now();
    loop {
        let is = Scrape::of(app).await.get(name);
        if (is - value).abs() < 1e-9 {
            return;
        }
        assert!(begun.elapsed() < DEADLINE, "{name} is {is}, never {value}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// Counts the frames of a client by type, up to a fence.
async fn told(client: &mut Client, to: &mut BTreeMap<String, f64>) {
    let frames = client.fence().await;
    let mut count = |kind: &str| *to.entry(kind.to_owned()).or_default() += 1.0;
    frames.iter().map(Frame::kind).for_each(&mut count);
    count("SYNC_RESPONSE");
}

fn expected(counts: &[(&'static str, f64)]) -> BTreeMap<&'static str, f64> {
    counts.iter().copied().collect()
}

#[tokio::test]
async fn frames_are_counted_by_type_in_both_directions() {
    let app = TestApp::start().await;
    let (mut ana, _) = Client::join_with(&app, "room", "ana", json!({"features": []})).await;
    let (mut ben, _) = Client::join_with(&app, "room", "ben", json!({"features": []})).await;
    let mut heard = BTreeMap::from([("ROOM_STATE".to_owned(), 2.0)]);
    for frame in [
        json!({"type": "PLAY_PAUSE", "control": "play", "currentTime": 1}),
        json!({"type": "SEEK", "currentTime": 9, "isPlaying": true}),
        json!({"type": "OFFER", "to": "ben", "offer": {}}),
        json!({"type": "BROADCAST", "event": "x", "to": "ben"}),
        json!({"type": "BROADCAST", "event": "x"}),
        json!({"type": "SYNC_PLAYBACK"}),
        json!({"type": "NEWS"}),
    ] {
        ana.send(frame).await;
    }
    ana.send_binary(vec![1, 2]).await;
    ana.send_text("{").await;
    told(&mut ana, &mut heard).await;
    for _ in 0..3 {
        ben.send(json!({"type": "POSITION_UPDATE", "currentTime": 1, "isPlaying": true})).await;
    }
    ben.send(json!({"type": "KICK", "targetUserId": "ana"})).await;
    told(&mut ben, &mut heard).await;
    // Nothing of ben's is for her but what the first question may have come too early for.
    told(&mut ana, &mut heard).await;
    ben.ping().await;
    *heard.entry("PONG".to_owned()).or_default() += 1.0;

    let now = Scrape::of(&app).await;
    let sent = now.by_label("tandem_frames_sent_total");
    assert_eq!(sent, heard.iter().map(|(kind, count)| (kind.as_str(), *count)).collect());
    assert_eq!(
        now.by_label("tandem_frames_received_total"),
        expected(&[
            ("JOIN", 2.0),
            ("PLAY_PAUSE", 1.0),
            ("SEEK", 1.0),
            ("OFFER", 1.0),
            ("BROADCAST", 2.0),
            ("POSITION_UPDATE", 3.0),
            ("KICK", 1.0),
            ("REQUEST_SYNC", 3.0),
            ("PING", 1.0),
            ("ignored", 1.0),
            ("invalid", 3.0),
        ])
    );
    assert_eq!(
        now.by_label("tandem_errors_total"),
        expected(&[("unknown_type", 1.0), ("invalid_message", 2.0), ("forbidden", 1.0)])
    );
    // What was granted, and is for others: the seven of ana's and ben's JOIN.
    assert_eq!(now.get("tandem_relay_seconds_count"), 7.0);
    assert_eq!(now.get("tandem_relay_seconds_bucket{le=\"+Inf\"}"), 7.0);
    let sum = now.get("tandem_relay_seconds_sum");
    assert!(sum > 0.0 && sum < 5.0, "{sum}");
    assert_eq!(now.get("tandem_relay_remote_seconds_count"), 0.0, "there is no other node");
    let (writes, frames) = (now.get("tandem_writes_total"), sent.values().sum::<f64>());
    assert!(writes > 0.0 && writes <= frames, "{writes} writes, {frames} frames");
}

#[tokio::test]
async fn members_and_sockets_are_counted_while_they_are_there() {
    let app = TestApp::start().await;
    let (mut ana, _) = Client::join_with(&app, "room", "ana", json!({"features": []})).await;
    let (mut ben, state) = Client::join_with(&app, "room", "ben", json!({"features": ["resume"]})).await;
    ben.fence().await;
    let now = Scrape::of(&app).await;
    assert_eq!(now.by_label("tandem_members"), expected(&[("present", 2.0)]));
    assert_eq!((now.get("tandem_connections"), now.get("tandem_rooms")), (2.0, 1.0));

    ben.reset();
    ana.until("MEMBER_AWAY").await;
    let now = Scrape::of(&app).await;
    assert_eq!(now.by_label("tandem_members"), expected(&[("present", 1.0), ("away", 1.0)]));
    assert_eq!(now.by_label("tandem_peer_disconnects_total"), expected(&[("gone", 1.0)]));

    let mut resume = json!({"type": "RESUME", "roomId": "room", "userId": "ben", "resumeToken": "wrong",
        "epoch": state.int("epoch"), "version": state.version()});
    let mut ben = Client::connect(&app).await;
    ben.send(resume.clone()).await;
    ben.expect("ERROR").await;
    resume["resumeToken"] = state["resumeToken"].clone();
    ben.send(resume.clone()).await;
    ben.until("RESUMED").await;
    ben.fence().await;
    ben.reset();
    ana.until("MEMBER_AWAY").await;
    // Of another incarnation than there ever was.
    resume["epoch"] = json!(1);
    let mut ben = Client::connect(&app).await;
    ben.send(resume).await;
    ben.until("DISCONTINUITY").await;
    ben.fence().await;
    let now = Scrape::of(&app).await;
    let outcomes = expected(&[("refused", 1.0), ("replayed", 1.0), ("snapshot", 1.0)]);
    assert_eq!(now.by_label("tandem_resumes_total"), outcomes);
    assert_eq!(now.by_label("tandem_members"), expected(&[("present", 2.0)]));
    assert_eq!(now.get("tandem_connections_opened_total"), 4.0);

    ana.send(json!({"type": "KICK", "targetUserId": "ben"})).await;
    ben.closed().await;
    until(&app, "tandem_connections", 1.0).await;
    assert_eq!(Scrape::of(&app).await.by_label("tandem_closes_total"), expected(&[("kicked", 1.0)]));
    ana.say_goodbye().await;
    until(&app, "tandem_connections", 0.0).await;
    let now = Scrape::of(&app).await;
    assert_eq!(now.by_label("tandem_peer_disconnects_total"), expected(&[("gone", 2.0), ("closed", 1.0)]));
    assert!(now.by_label("tandem_members").is_empty());
}

#[tokio::test]
async fn upgrades_are_refused_for_a_reason() {
    let app = TestApp::start_with(&[("MAX_CONNECTIONS", "1"), ("ALLOWED_ORIGINS", "https://a.example")]).await;
    let (own, strange) = ([("Origin", "https://a.example")], [("Origin", "https://b.example")]);
    let of = |headers| Connect { headers, ..Connect::default() };
    let _ana = Client::connect_with(&app, of(&own)).await;
    for headers in [&own, &strange, &strange] {
        assert!(Client::try_connect(&app, of(headers)).await.is_err());
    }
    let now = Scrape::of(&app).await;
    assert_eq!(now.by_label("tandem_upgrades_refused_total"), expected(&[("full", 1.0), ("origin", 2.0)]));
}

#[tokio::test]
async fn what_waits_for_a_slow_reader_is_seen() {
    let app = TestApp::start_with(&[("MESSAGE_BURST", "100000"), ("OUTBOX_BYTES", "8000000")]).await;
    let mut ana = Client::join(&app, "room", "ana").await;
    let mut ben = Client::connect_with(&app, Connect { receive_buffer: Some(4_096), ..Connect::default() }).await;
    ben.enter("room", "ben", json!({"features": []})).await;
    let page = json!({"type": "BROADCAST", "event": "page", "data": "x".repeat(30_000), "to": "ben"});
    let mut pages = 0.0;
    let begun = Instant::now();
    let waiting = loop {
        ana.send(page.clone()).await;
        ana.fence().await;
        pages += 1.0;
        let now = Scrape::of(&app).await;
        let waiting = now.get("tandem_outbox_bytes");
        assert_eq!(now.get("tandem_outbox_fullest_bytes"), waiting, "one waits alone");
        if waiting > 100_000.0 {
            break waiting;
        }
        assert!(begun.elapsed() < 2 * DEADLINE, "nothing ever waits: {waiting}");
    };
    // Whole pages.
    assert!(waiting < pages * 31_000.0, "{waiting} of {pages} pages");
    ben.fence().await;
    // Whoever asks too often gets a copy of the answer before.
    let now = loop {
        let now = Scrape::of(&app).await;
        if now.get("tandem_outbox_bytes") < 1.0 {
            break now;
        }
        assert!(begun.elapsed() < 3 * DEADLINE, "it still waits");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_eq!(now.get("tandem_outbox_fullest_bytes"), 0.0);
    assert_eq!(now.get("tandem_frames_sent_total{type=\"BROADCAST\"}"), pages);
}

#[tokio::test]
async fn the_process_and_its_runtime_are_described() {
    let app = TestApp::start().await;
    let before = Scrape::of(&app).await;
    assert!(before.get("process_cpu_seconds_total") > 0.0 || before.get("process_threads") >= 2.0);
    assert!(before.get("process_resident_memory_bytes") > 1e6);
    assert!(before.get("tandem_runtime_workers") >= 1.0 && before.get("tandem_runtime_tasks") >= 2.0);
    let started = before.get("process_start_time_seconds");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    assert!((now - started).abs() < 60.0, "started at {started}, it is {now}");
    let mut clients = Vec::new();
    for _ in 0..50 {
        clients.push(Client::connect(&app).await);
    }
    // Less what the first scrape itself may have had open.
    let after = Scrape::of(&app).await;
    assert!(after.get("tandem_runtime_tasks") >= before.get("tandem_runtime_tasks") + 45.0);
    if before.0.contains_key("process_open_fds") {
        assert!(after.get("process_open_fds") >= before.get("process_open_fds") + 45.0);
        assert!(after.get("process_open_fds") < after.get("process_max_fds"));
    }
}

#[tokio::test]
async fn a_drain_is_counted_while_it_happens_and_told_at_its_end() {
    let mut app = TestApp::start_with(&[("DRAIN_SECONDS", "5")]).await;
    let mut party = JoinSet::new();
    for number in 0..50 {
        let mut one = Client::join(&app, "room", &format!("m{number}")).await;
        party.spawn(async move { one.closed_within(6 * DEADLINE).await.1 });
    }
    app.sigterm().await;
    loop {
        let now = Scrape::of(&app).await;
        let (closed, open) = (now.by_label("tandem_closes_total"), now.get("tandem_connections"));
        if closed.get("draining").is_some_and(|closed| *closed > 0.0) {
            assert!(open > 0.0 && now.get("tandem_draining") > 0.0, "{open} of {closed:?}");
            break;
        }
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(party.join_all().await, vec![Some(1012); 50]);
    assert_eq!(app.exit(DEADLINE).await.code(), Some(0));
    let log = app.log();
    let last: Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    let told = json!({"msg": last["msg"], "clean": last["clean"], "forced": last["forced"], "lost": last["lost"]});
    assert_eq!(told, json!({"msg": "stopped", "clean": 50, "forced": 0, "lost": 0}), "{log}");
}
