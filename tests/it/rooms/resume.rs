//! Dropped and back again: nothing missed, or told so.

use std::time::Duration;

use serde_json::{Value, json};

use tandem_testkit::{
    Client, Frame, TestApp,
    client::{fence_all, quiet},
    now_ms,
};

/// The data that a client keeps for a RESUME.
#[derive(Clone, Debug)]
struct Seat {
    user: String,
    token: String,
    epoch: u64,
    version: u64,
}

impl Seat {
    fn of(user: &str, state: &Frame) -> Self {
        let token = state.str("resumeToken").to_owned();
        Self { user: user.to_owned(), token, epoch: state.int("epoch"), version: state.version() }
    }

    fn frame(&self) -> Value {
        json!({"type": "RESUME", "roomId": "room", "userId": self.user, "resumeToken": self.token,
            "epoch": self.epoch, "version": self.version, "features": ["resume", "ack"]})
    }

    async fn resume(&self, app: &TestApp) -> Client {
        let mut client = Client::connect(app).await;
        client.send(self.frame()).await;
        client
    }
}

/// Ana, host without resume, and Ben with it; nothing left to read.
async fn pair(app: &TestApp) -> (Client, Client, Seat) {
    let mut ana = Client::join(app, "room", "ana").await;
    let (mut ben, state) = Client::join_with(app, "room", "ben", json!({"features": ["resume", "ack"]})).await;
    let mut seat = Seat::of("ben", &state);
    fence_all(&mut [&mut ana, &mut ben]).await;
    // The fence was the last frame.
    ana.send(json!({"type": "TOGGLE_GUEST_CONTROL", "enabled": false})).await;
    ana.expect("GUEST_CONTROL").await;
    seat.version = ben.expect("GUEST_CONTROL").await.version();
    (ana, ben, seat)
}

#[tokio::test]
async fn what_was_missed_comes_after_resumed() {
    let app = TestApp::start().await;
    let (mut ana, ben, mut seat) = pair(&app).await;
    ben.reset();
    let away = ana.expect("MEMBER_AWAY").await;
    assert_eq!(away["userId"], "ben");
    assert!(away.int("until") > now_ms());
    let (_, state) = Client::join_with(&app, "room", "carl", json!({"features": []})).await;
    assert_eq!(state.users(), ["ana", "ben", "carl"]);
    assert_ne!(state.user("ben")["state"], state.user("ana")["state"]);
    ana.collect_until(|frame| frame.is("USER_LEFT"), "Carl's end").await;
    let mut missed = Vec::new();
    for time in 1..=5 {
        let frame = json!({"type": "PLAY_PAUSE", "control": "play", "currentTime": time});
        missed.push(ana.acked(frame).await.version());
        ana.acked(json!({"type": "ICE_CANDIDATE", "to": "ben", "candidate": {"n": time}})).await;
    }
    // A heartbeat is superseded; whether it is kept is the server's business, that it is in order is not.
    ana.send(json!({"type": "HOST_HEARTBEAT", "currentTime": 6, "isPlaying": true})).await;
    ana.fence().await;

    let mut ben = seat.resume(&app).await;
    let resumed = ben.expect("RESUMED").await;
    assert_eq!(resumed.int("epoch"), seat.epoch);
    let mut replay = Vec::new();
    for _ in 0..resumed.int("replayed") {
        replay.push(ben.next().await);
    }
    assert!(replay.iter().all(|frame| frame.version() > seat.version && frame.version() <= resumed.version()));
    let plays: Vec<u64> = replay.iter().filter(|frame| frame.is("PLAY_PAUSE")).map(Frame::version).collect();
    assert_eq!(plays, missed);
    let carl = replay.iter().filter(|frame| frame["userId"] == "carl").map(Frame::kind).collect::<Vec<_>>();
    assert_eq!(carl, ["USER_JOINED", "USER_LEFT"]);
    for number in 1..=5 {
        assert_eq!(ben.until("ICE_CANDIDATE").await["candidate"]["n"], number);
    }
    let back = ana.until("MEMBER_BACK").await;
    assert_eq!((back.str("userId"), back.str("peerId")), ("ben", resumed.str("session")));

    // A second time, from where it is now, with the token it has now.
    ana.send(json!({"type": "PLAY_PAUSE", "control": "pause"})).await;
    seat.version = ben.until("PLAY_PAUSE").await.version();
    seat.token = resumed.str("resumeToken").to_owned();
    ben.vanish();
    ana.until("MEMBER_AWAY").await;
    let mut ben = seat.resume(&app).await;
    let resumed = ben.expect("RESUMED").await;
    for _ in 0..resumed.int("replayed") {
        let frame = ben.next().await;
        assert!(!frame.is("PLAY_PAUSE"), "not again: {frame:?}");
    }
    ana.until("MEMBER_BACK").await;
    let got = fence_all(&mut [&mut ana, &mut ben]).await;
    assert!(got[1].iter().all(|frame| frame.is("MEMBER_BACK")), "{got:?}");
    // It is a member like before: same place, same right.
    ben.refused(json!({"type": "PLAY_PAUSE", "control": "play"}), "forbidden").await;
}

#[tokio::test]
async fn a_token_serves_until_a_later_one_was_shown() {
    let app = TestApp::start().await;
    let (mut ana, ben, seat) = pair(&app).await;
    ben.reset();
    ana.expect("MEMBER_AWAY").await;
    let mut wrong = seat.clone();
    wrong.token = "0123456789abcdef0123456789abcdef".to_owned();
    let mut thief = wrong.resume(&app).await;
    thief.expect_error("unauthorized").await;
    thief.ping().await;
    thief.refused(json!({"type": "REQUEST_SYNC"}), "not_joined").await;

    let mut ben = seat.resume(&app).await;
    let fresh = ben.expect("RESUMED").await.str("resumeToken").to_owned();
    assert_ne!(fresh, seat.token);
    ana.until("MEMBER_BACK").await;
    ben.reset();
    ana.until("MEMBER_AWAY").await;
    // As if the first answer had been lost.
    let mut again = seat.resume(&app).await;
    let newer = again.expect("RESUMED").await.str("resumeToken").to_owned();
    ana.until("MEMBER_BACK").await;
    again.reset();
    ana.until("MEMBER_AWAY").await;
    let newest = Seat { token: newer, ..seat.clone() };
    newest.resume(&app).await.expect("RESUMED").await;
    // Once a later one has been shown, those before it are dead, and so is one that was shown twice.
    for dead in [seat.token.clone(), fresh] {
        Seat { token: dead, ..seat.clone() }.resume(&app).await.expect_error("unauthorized").await;
    }
}

#[tokio::test]
async fn an_old_token_that_somebody_kept_is_good_once_more_and_never_again() {
    let app = TestApp::start().await;
    let (mut ana, ben, seat) = pair(&app).await;
    ben.reset();
    ana.expect("MEMBER_AWAY").await;
    let mut ben = seat.resume(&app).await;
    let fresh = ben.expect("RESUMED").await.str("resumeToken").to_owned();
    let mut thief = seat.resume(&app).await;
    let stolen = thief.expect("RESUMED").await.str("resumeToken").to_owned();
    for _ in 0..20 {
        seat.resume(&app).await.expect_error("unauthorized").await;
        let mut thief = Client::connect(&app).await;
        thief.send_join("room", "ben", json!({"features": ["resume"], "resumeToken": seat.token})).await;
        thief.expect_error("identity_in_use").await;
    }
    // The owner comes back with the token that it has received, and what the thief has is good no longer.
    Seat { token: fresh, ..seat.clone() }.resume(&app).await.expect("RESUMED").await;
    Seat { token: stolen, ..seat }.resume(&app).await.expect_error("unauthorized").await;
}

#[tokio::test]
async fn who_missed_more_than_its_outbox_holds_gets_the_room_instead() {
    let app = TestApp::start_with(&[("OUTBOX_BYTES", "65536")]).await;
    let (mut ana, ben, seat) = pair(&app).await;
    ben.reset();
    ana.expect("MEMBER_AWAY").await;
    for _ in 0..30 {
        ana.acked(json!({"type": "BROADCAST", "event": "big", "data": "x".repeat(3_000)})).await;
    }
    let mut ben = seat.resume(&app).await;
    assert_eq!(ben.expect("DISCONTINUITY").await.str("reason"), "history_gone");
    assert_eq!(ben.expect("ROOM_STATE").await.users(), ["ana", "ben"]);
}

#[tokio::test]
async fn another_members_token_is_no_good() {
    let app = TestApp::start().await;
    let (mut ana, ben, seat) = pair(&app).await;
    let (_carl, state) = Client::join_with(&app, "room", "carl", json!({"features": ["resume"]})).await;
    ben.reset();
    ana.until("MEMBER_AWAY").await;
    let mut mixed = seat.clone();
    mixed.token = Seat::of("carl", &state).token;
    mixed.resume(&app).await.expect_error("unauthorized").await;
}

#[tokio::test]
async fn when_the_seat_is_gone_it_is_said() {
    let app = TestApp::start_with(&[("RESUME_WINDOW_SECONDS", "0.3")]).await;
    let (mut ana, ben, seat) = pair(&app).await;
    ben.reset();
    ana.expect("MEMBER_AWAY").await;
    let left = ana.expect("USER_LEFT").await;
    assert_eq!((left.str("userId"), left.str("reason")), ("ben", "expired"));
    let mut ben = seat.resume(&app).await;
    ben.expect_error("not_joined").await;
    ben.enter("room", "ben", json!({"features": ["resume"]})).await;
    ana.expect("USER_JOINED").await;
    // Nor into a room that never was.
    let mut frame = seat.frame();
    frame["roomId"] = json!("nowhere");
    let mut lost = Client::connect(&app).await;
    lost.send(frame).await;
    lost.expect_error("not_joined").await;
    assert_eq!(app.get("/api/room/nowhere").await.status, 404);
}

#[tokio::test]
async fn leaving_and_being_kicked_keep_no_seat() {
    let app = TestApp::start().await;
    let (mut ana, mut ben, seat) = pair(&app).await;
    ben.send(json!({"type": "LEAVE"})).await;
    assert_eq!(ana.expect("USER_LEFT").await["reason"], "left");
    ben.closed().await;
    seat.resume(&app).await.expect_error("not_joined").await;
    let (mut ben, state) = Client::join_with(&app, "room", "ben", json!({"features": ["resume"]})).await;
    ana.expect("USER_JOINED").await;
    ana.send(json!({"type": "KICK", "targetUserId": "ben"})).await;
    assert_eq!(ben.closed().await.1, Some(4503));
    let mut again = Seat::of("ben", &state).resume(&app).await;
    let error = again.expect("ERROR").await;
    assert!(error["code"] == "not_joined" || error["code"] == "forbidden", "{error:?}");
}

#[tokio::test]
async fn another_epoch_is_a_discontinuity() {
    let app = TestApp::start().await;
    let (mut ana, ben, mut seat) = pair(&app).await;
    ben.reset();
    ana.expect("MEMBER_AWAY").await;
    seat.epoch += 1;
    let mut ben = seat.resume(&app).await;
    assert_eq!(ben.expect("DISCONTINUITY").await["reason"], "epoch_changed");
    let state = ben.expect("ROOM_STATE").await;
    assert_eq!(state.users(), ["ana", "ben"]);
    assert!(state.has("resumeToken"));
    assert_eq!(ana.expect("MEMBER_BACK").await["userId"], "ben");
}

#[tokio::test]
async fn a_version_from_the_future_is_a_discontinuity() {
    let app = TestApp::start().await;
    let (mut ana, ben, mut seat) = pair(&app).await;
    ben.reset();
    ana.expect("MEMBER_AWAY").await;
    seat.version += 1_000_000;
    let mut ben = seat.resume(&app).await;
    ben.expect("DISCONTINUITY").await;
    ben.expect("ROOM_STATE").await;
}

#[tokio::test]
async fn too_long_a_history_is_a_discontinuity() {
    let settings = [
        ("MESSAGES_PER_SECOND", "100000"),
        ("MESSAGE_BURST", "100000"),
        ("RESUME_WINDOW_SECONDS", "300"),
        // It would hold all of it.
        ("OUTBOX_BYTES", "4194304"),
    ];
    // A history has 512 updates at most, and 512 KB.
    for (count, length) in [(600, 10), (100, 8_000)] {
        let app = TestApp::start_with(&settings).await;
        let (mut ana, ben, seat) = pair(&app).await;
        ben.reset();
        ana.expect("MEMBER_AWAY").await;
        let data = "x".repeat(length);
        for round in 0..count {
            ana.send(json!({"type": "BROADCAST", "event": "e", "data": data})).await;
            if round % 20 == 19 {
                ana.fence().await;
            }
        }
        let mut ben = seat.resume(&app).await;
        assert_eq!(ben.expect("DISCONTINUITY").await["reason"], "history_gone");
        ben.expect("ROOM_STATE").await;
        // From here on it is up to date.
        ana.fence().await;
        quiet(&mut [&mut ana, &mut ben]).await;
    }
}

#[tokio::test]
async fn resume_takes_the_seat_from_a_socket_that_hangs() {
    let app = TestApp::start().await;
    let (mut ana, mut hanging, seat) = pair(&app).await;
    let mut ben = seat.resume(&app).await;
    ben.expect("RESUMED").await;
    hanging.until_refused(json!({"type": "REQUEST_SYNC"}), "not_joined").await;
    ana.acked(json!({"type": "OFFER", "to": "ben", "offer": {}})).await;
    ben.until("OFFER").await;
    hanging.reset();
    let got = fence_all(&mut [&mut ana, &mut ben]).await;
    assert!(got.iter().flatten().all(|frame| !frame.is("MEMBER_AWAY") && !frame.is("USER_LEFT")), "{got:?}");
}

#[tokio::test]
async fn a_host_that_resumes_in_time_is_host_still() {
    let app = TestApp::start_with(&[("HOST_GRACE_SECONDS", "30")]).await;
    let (host, state) = Client::join_with(&app, "room", "host", json!({"features": ["resume"]})).await;
    let mut guest = Client::join(&app, "room", "guest").await;
    host.reset();
    guest.expect("MEMBER_AWAY").await;
    let mut host = Seat::of("host", &state).resume(&app).await;
    host.expect("RESUMED").await;
    guest.expect("MEMBER_BACK").await;
    host.acked(json!({"type": "PLAY_PAUSE", "control": "play"})).await;
}

#[tokio::test]
async fn a_host_that_is_away_too_long_is_host_no_more() {
    let app = TestApp::start_with(&[("HOST_GRACE_SECONDS", "0.3"), ("RESUME_WINDOW_SECONDS", "30")]).await;
    let (host, state) = Client::join_with(&app, "room", "host", json!({"features": ["resume"]})).await;
    let mut guest = Client::join(&app, "room", "guest").await;
    host.reset();
    guest.expect("MEMBER_AWAY").await;
    assert_eq!(guest.expect("HOST_CHANGED").await["hostUserId"], "guest");
    let mut host = Seat::of("host", &state).resume(&app).await;
    let resumed = host.expect("RESUMED").await;
    let mut replay = Vec::new();
    for _ in 0..resumed.int("replayed") {
        replay.push(host.next().await);
    }
    assert!(replay.iter().any(|frame| frame.is("HOST_CHANGED") && frame["hostUserId"] == "guest"), "{replay:?}");
    host.refused(json!({"type": "PLAY_PAUSE", "control": "play"}), "forbidden").await;
}

#[tokio::test]
async fn the_seat_is_also_found_by_join() {
    let app = TestApp::start().await;
    let (mut ana, ben, seat) = pair(&app).await;
    ben.reset();
    ana.expect("MEMBER_AWAY").await;
    let fields = json!({"features": ["resume"], "resumeToken": seat.token});
    let (_, state) = Client::join_with(&app, "room", "ben", fields).await;
    assert_eq!(state.users(), ["ana", "ben"]);
    for kind in ["MEMBER_BACK", "USER_JOINED"] {
        assert_eq!(ana.expect(kind).await.str("userId"), "ben");
    }
    assert!(ana.during(Duration::from_millis(300)).await.iter().all(|frame| !frame.is("USER_LEFT")));
}
