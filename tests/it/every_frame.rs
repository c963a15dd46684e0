//! Every frame that the server can make, made, and checked against the schema: also those that no other test happens to see.

use std::collections::BTreeSet;

use serde_json::{Value, value::RawValue};
use tandem::{
    id::{ConnId, NodeId, RoomId, UserId},
    protocol::{
        BannedUser, ClientFrameType, Code, Generation, IceServer, RoomState, RoomStateParts, ServerFrame,
        ServerFrameType, SignalFrame, SignalKind, Stamp, announce, decode, encode,
    },
    room::{
        Ban, Change, Digest, Gate, Grant, Json, LeftReason, Member, Playback, Presence, Rights, Role, Room, Sent,
        Timeline, UnknownFields,
    },
};

use tandem_testkit::schema::{check, check_union, types};

const NOW: u64 = 1_795_000_000_000;

fn json(text: &str) -> Json {
    Json(RawValue::from_string(text.to_owned()).unwrap().into())
}

fn ice() -> Vec<IceServer> {
    let turn = ["turn:turn.example.org:3478".to_owned()].into();
    vec![IceServer { urls: turn, username: Some("1:ana".to_owned()), credential: Some("x".to_owned()) }]
}

/// One of each, the optional parts once there and once not.
fn changes(ana: &UserId, member: &Member) -> Vec<Change> {
    let playback = Playback { position: 12.5, playing: true, rate: 1.25 };
    let timeline = playback.timeline(NOW, ana);
    let gate = Gate { target: 12.5, opened: NOW, deadline: NOW + 7_000, waiting: vec![ana.clone()], ready: 0 };
    let conn = member.conn;
    let left = |reason| Change::Left { user: ana.clone(), conn, reason, vacancy: None, empty_until: None };
    let mut all = vec![
        Change::Joined { member: member.clone(), host: true },
        Change::Joined { member: granted(member), host: false },
        Change::Rejoined { member: member.clone(), host: false, was_away: true },
        Change::Back { member: member.clone(), was_away: true },
        Change::Away { user: ana.clone(), since: NOW, until: NOW + 30_000 },
        left(LeftReason::Left),
        left(LeftReason::Disconnected),
        left(LeftReason::Expired),
        left(LeftReason::Kicked { by: ana.clone(), note: Some("noise".into()) }),
        left(LeftReason::Removed { by: ana.clone(), note: None }),
        Change::Locked { locked: true, by: ana.clone() },
        Change::PinSet { pin: Some(Digest::new([3; 32])), by: ana.clone() },
        Change::Unbanned { user: ana.clone(), by: ana.clone() },
        Change::HostChanged { host: ana.clone() },
        Change::RoleChanged { user: ana.clone(), role: Role::CoHost, by: ana.clone() },
        Change::GuestControl { enabled: true, by: ana.clone() },
        Change::Renamed { user: ana.clone(), username: "Ana \u{2615}".into() },
        Change::Released { target: 0.0, opened: NOW, timeline },
    ];
    for some in [true, false] {
        let event = some.then_some(1_795_000_000_000.5);
        let number = some.then_some(f64::MIN_POSITIVE);
        all.extend([
            Change::PlayPause { by: ana.clone(), event, playback, sent: Sent { position: some, rate: some } },
            Change::Sought { by: ana.clone(), event, playback, gate: some.then(|| gate.clone()) },
            Change::Heartbeat { by: ana.clone(), event, playback },
            Change::UrlChanged { by: ana.clone(), url: "https://x.org/1".into(), time: number, playback },
            Change::Broadcast { by: ana.clone(), event: "chat".into(), data: some.then(|| json("[1,null]")) },
        ]);
    }
    all
}

fn signals(ana: &UserId) -> Vec<SignalFrame<'_>> {
    let object = Box::leak(RawValue::from_string("{}".to_owned()).unwrap());
    let control = Box::leak(RawValue::from_string("\"play\"".to_owned()).unwrap());
    let id = Box::leak(Box::new(json("7")));
    let payloads = [
        (SignalKind::Offer, Some(&*object)),
        (SignalKind::Answer, Some(&*object)),
        (SignalKind::IceCandidate, Some(&*object)),
        (SignalKind::Renegotiate, None),
        (SignalKind::Bye, None),
        (SignalKind::PlaybackAck, Some(&*control)),
    ];
    let signal = |(kind, payload)| SignalFrame {
        kind,
        from: ana,
        to: ana,
        payload,
        negotiation_id: Some(id),
        node_id: "n",
        signal_id: "a-1",
    };
    payloads.map(signal).into()
}

/// The member, with what a token grants.
fn granted(member: &Member) -> Member {
    let metadata = Json(RawValue::from_string(r#"{"team":"red"}"#.to_owned()).unwrap().into());
    let grant = Grant { verified: true, role: None, rights: Rights::ALL, named: true, metadata: Some(metadata) };
    Member { grant: Some(Box::new(grant)), ..member.clone() }
}

#[test]
#[allow(clippy::too_many_lines, reason = "a list")]
fn every_frame_that_can_be_made_is_in_the_schema_and_the_other_way_round() {
    let ana = UserId::parse("ana").unwrap();
    let member = Member {
        user: ana.clone(),
        username: None,
        role: Role::CoHost,
        conn: ConnId::random(),
        node: NodeId::parse("n").unwrap(),
        origin: Digest::new([1; 32]),
        token: None,
        token_before: None,
        token_beside: None,
        grant: None,
        shown_at: None,
        presence: Presence::Present,
        order: 0,
        watching: true,
        unknown: UnknownFields::default(),
    };
    let mut texts = Vec::new();
    let mut room = Room::vacant(RoomId::parse("r").unwrap());
    room.apply(&Change::Created { epoch: NOW, pin: None, by: ana.clone() }, NOW);
    for change in changes(&ana, &member) {
        room.apply(&change, NOW);
        let stamp = Stamp { epoch: NOW, version: room.version, timestamp: NOW };
        announce(&change, stamp, |_, frame| texts.push(encode(&frame)));
        texts.extend(Generation::First.also_told(&change).map(|(_, frame)| encode(&frame)));
        if room.members.is_empty() {
            room.apply(&Change::Joined { member: member.clone(), host: true }, NOW);
        }
        let (node, ice_servers) = (NodeId::parse("n").unwrap(), ice());
        for (features, resume_token) in [(&["resume", "ack", "clock"][..], Some("0123456789abcdef")), (&[], None)] {
            let ice_servers = &ice_servers[..];
            let parts = RoomStateParts {
                node: &node,
                session: member.conn,
                features,
                resume_token,
                ping_interval: 25_000,
                ice_servers,
                now: NOW,
            };
            texts.push(encode(&ServerFrame::RoomState(RoomState::new(&room, &parts))));
        }
    }
    for signal in signals(&ana) {
        texts.push(encode(&ServerFrame::Signal(signal)));
    }
    let timeline = (&Timeline::start(NOW)).into();
    let (id, ice_servers) = (json("\"x\""), ice());
    let ban =
        |origin: Option<Digest>| Ban { user: ana.clone(), username: origin.map(|_| "Ana".into()), origin, at: NOW };
    let bans = [ban(None), ban(Some(Digest::new([1; 32])))];
    let session = member.conn;
    let mut frames = vec![
        ServerFrame::Resumed {
            version: 3,
            epoch: 1,
            replayed: 2,
            resume_token: "0123456789abcdef",
            session,
            server_time: NOW,
            ice_servers: &ice_servers,
        },
        ServerFrame::Discontinuity { reason: "epoch_changed" },
        ServerFrame::Discontinuity { reason: "history_gone" },
        ServerFrame::Discontinuity { reason: "history_unavailable" },
        ServerFrame::Discontinuity { reason: "too_slow" },
        ServerFrame::TokenExpiring { expires_at: NOW },
        ServerFrame::DirectMessage { user_id: &ana, event: "psst", data: None, to: &ana, timestamp: NOW },
        ServerFrame::SyncResponse {
            from_user_id: "server",
            current_time: 1.5,
            is_playing: false,
            url: None,
            respect_auto_play: true,
            timeline,
            timestamp: NOW,
        },
        ServerFrame::SyncResponse {
            from_user_id: "server",
            current_time: 0.0,
            is_playing: false,
            url: Some(""),
            respect_auto_play: false,
            timeline,
            timestamp: NOW,
        },
        ServerFrame::Bans { bans: bans.iter().map(BannedUser::from).collect() },
        ServerFrame::Bans { bans: Vec::new() },
        ServerFrame::IceServers { ice_servers: &ice_servers },
        ServerFrame::Ack { id: &id, version: 9 },
        ServerFrame::Pong { timestamp: NOW, t0: None, t1: None, t2: None },
        ServerFrame::Pong { timestamp: NOW, t0: Some(0.5), t1: Some(NOW), t2: Some(NOW) },
        ServerFrame::ServerDraining { retry_after_ms: 0, resume: true },
    ];
    for code in Code::ALL {
        let retry_after_ms = code.retryable().then_some(250);
        frames.push(ServerFrame::Error {
            code,
            message: "why",
            retryable: code.retryable(),
            retry_after_ms,
            id: Some(&id),
        });
    }
    texts.extend(frames.iter().map(encode));
    let mut made = BTreeSet::new();
    for text in &texts {
        let frame: Value = serde_json::from_str(text).unwrap();
        check("server", &frame)
            .and_then(|()| check_union("server", &frame))
            .unwrap_or_else(|why| panic!("{text}\n{why}"));
        assert_eq!(frame["type"], text.kind().as_str(), "the type of a frame and the word in its text");
        made.insert(frame["type"].as_str().unwrap().to_owned());
    }
    assert_eq!(made, types("server").into_iter().collect(), "made on the left, documented on the right");
}

#[test]
fn the_tables_of_frame_types_are_those_of_the_schema() {
    let set = |words: Vec<String>| words.into_iter().collect::<BTreeSet<_>>();
    let client = ClientFrameType::ALL.iter().map(|kind| kind.as_str().to_owned());
    assert_eq!(client.collect::<BTreeSet<_>>(), set(types("client")));
    let server = ServerFrameType::ALL.iter().filter(|kind| **kind != ServerFrameType::Other);
    assert_eq!(server.map(|kind| kind.as_str().to_owned()).collect::<BTreeSet<_>>(), set(types("server")));
}

#[test]
fn each_type_is_understood() {
    let fields = concat!(
        r#""roomId":"r","userId":"u","resumeToken":"t","epoch":1,"version":1,"currentTime":1,"isPlaying":true,"targetTime":1,"#,
        r#""control":"play","url":"https://a.example/","to":"v","offer":{},"answer":{},"candidate":{},"event":"e","#,
        r#""enabled":true,"targetUserId":"v","role":"co-host","username":"n","pin":"1","locked":true,"token":"t""#
    );
    for kind in ClientFrameType::ALL {
        let text = format!(r#"{{"type":"{}",{fields}}}"#, kind.as_str());
        assert_eq!(decode(&text).map_err(|error| error.message).unwrap().kind, *kind, "{text}");
    }
}
