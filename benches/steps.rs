//! The time of each step of a frame, from text to outbox: `cargo bench --bench steps`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub
)]

use std::{
    hint::black_box,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use futures_util::FutureExt as _;
use tandem::{
    hub::Outbox,
    protocol::{Frame, Received, Stamp, announce, decode, encode},
    room::{Action, Policy, Room, Update, decide},
    telemetry::Metrics,
    token::{Algorithm, KeySpecs, NewKey, SigningKey, Verifier, VerifierSettings},
};

use tandem_testkit::fixture::{NOW, act, join, room};

/// A room with this number of members, all present.
fn full(members: usize) -> Room {
    let mut full = Room::vacant(room("bench"));
    for number in 0..members {
        full = decide(&full, &join(&format!("user-{number}"), "node", true), &Policy::default(), NOW).unwrap().after;
    }
    full
}

fn play() -> Action {
    Action::PlayPause { playing: true, position: Some(41.5), event: None, rate: None }
}

fn decoding(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode");
    let sdp = "v".repeat(3_000);
    let offer = format!(r#"{{"type":"OFFER","to":"user-1","offer":{{"type":"offer","sdp":"{sdp}"}}}}"#);
    for (name, text) in [
        ("play_pause", r#"{"type":"PLAY_PAUSE","control":"play","currentTime":41.5}"#),
        ("position_update", r#"{"type":"POSITION_UPDATE","currentTime":41.5,"isPlaying":true}"#),
        ("offer_3_kb", offer.as_str()),
    ] {
        group.bench_function(name, |b| b.iter(|| decode(black_box(text))));
    }
}

fn deciding(c: &mut Criterion) {
    let mut group = c.benchmark_group("decide");
    let command = act("user-0", play());
    for members in [4, 100] {
        let room = full(members);
        group.bench_function(format!("play_of_{members}"), |b| {
            b.iter(|| decide(black_box(&room), &command, &Policy::default(), NOW));
        });
        let draft = decide(&room, &command, &Policy::default(), NOW).unwrap();
        group.bench_function(format!("apply_of_{members}"), |b| {
            let fresh = || room.clone();
            let apply = |mut room: Room| {
                for change in &draft.changes {
                    room.apply(change, NOW);
                }
                room
            };
            b.iter_batched(fresh, apply, BatchSize::SmallInput);
        });
    }
}

fn encoding(c: &mut Criterion) {
    let room = full(4);
    let draft = decide(&room, &act("user-0", play()), &Policy::default(), NOW).unwrap();
    let update =
        Update { room: room.id.clone(), epoch: room.epoch, base: room.version, at: NOW, changes: draft.changes };
    let stamp = Stamp { epoch: update.epoch, version: update.version(), timestamp: NOW };
    c.bench_function("encode/play_pause", |b| {
        b.iter(|| {
            for change in &update.changes {
                announce(change, stamp, |_, frame| drop(black_box(encode(&frame))));
            }
        });
    });
}

fn pushing(c: &mut Criterion) {
    let frame = Frame::from("x".repeat(300));
    let outbox = Outbox::new(512 * 1024);
    for frames in [1, 16] {
        c.bench_function(&format!("outbox/push_{frames}_and_take"), |b| {
            b.iter(|| {
                for _ in 0..frames {
                    outbox.push(frame.clone());
                }
                outbox.take().now_or_never()
            });
        });
    }
}

/// The cost of metrics for a received frame, and for a write of this number of frames.
fn counting(c: &mut Criterion) {
    let mut group = c.benchmark_group("count");
    let metrics = Metrics::new("node");
    let frames =
        [r#"{"type":"BROADCAST","userId":"u"}"#, r#"{"type":"SERVER_DRAINING","resume":true}"#].map(Frame::from);
    let play = decode(r#"{"type":"PLAY_PAUSE","control":"play","currentTime":41.5}"#).unwrap().kind;
    group.bench_function("received", |b| {
        let came = Instant::now();
        b.iter(|| {
            metrics.received.inc(Received::from(black_box(play)));
            metrics.relay.observe(came.elapsed());
        });
    });
    for frame in &frames {
        group.bench_function(format!("sent_{}", frame.kind().as_str()), |b| {
            b.iter(|| {
                metrics.sent.add(black_box(frame).kind(), 1);
                metrics.writes.inc();
            });
        });
    }
}

/// The cost of a token that is accepted, from text to identity.
fn verifying(c: &mut Criterion) {
    let now = 1_800_000_000_000;
    let claims = serde_json::json!({
        "sub": "ana", "device": "phone", "rooms": ["film", "team-*"], "role": "member", "rights": ["join", "signal"], "name": "Ana",
        "metadata": {"avatar": "https://a.example/1.png"}, "iss": "app", "aud": "tandem", "iat": now / 1000, "exp": now / 1000 + 3600,
        "jti": "4e1f0f9e-6f5f-4d0a-9d39-0a1c1f5f2d11",
    });
    let mut group = c.benchmark_group("token");
    for algorithm in Algorithm::ALL {
        let (keys, signs) = token_keys(algorithm);
        let verifier = Verifier::new(
            &VerifierSettings {
                keys: KeySpecs::parse(&keys).unwrap(),
                jwks: None,
                issuers: vec!["app".to_owned()],
                audiences: vec!["tandem".to_owned()],
                leeway: Duration::from_mins(1),
                most_lifetime: Duration::from_hours(24),
            },
            Arc::default(),
        )
        .unwrap();
        let token = signs.sign(&claims).unwrap();
        verifier.verify(&token, now).unwrap();
        group.bench_function(algorithm.name(), |b| b.iter(|| verifier.verify(black_box(&token), now)));
    }
}

/// The settings, and what signs.
fn token_keys(algorithm: Algorithm) -> (String, SigningKey) {
    let (private, public) = match NewKey::make(algorithm) {
        Ok(NewKey { private, public: Some(public) }) => (private, public),
        Ok(NewKey { private, public: None }) => {
            let secret = private.trim_end();
            return (format!("k=HS256:{secret}"), SigningKey::secret(Some("k"), secret.as_bytes()).unwrap());
        }
        Err(_) => {
            let dir = tempfile::tempdir().unwrap();
            let openssl = |words: &[&str]| {
                let made = Command::new("openssl").args(words).current_dir(dir.path()).output().unwrap();
                assert!(made.status.success());
                String::from_utf8(made.stdout).unwrap()
            };
            openssl(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", "key"]);
            (std::fs::read_to_string(dir.path().join("key")).unwrap(), openssl(&["pkey", "-in", "key", "-pubout"]))
        }
    };
    (format!("k={}:{public}", algorithm.name()), SigningKey::private(Some("k"), &private).unwrap())
}

criterion_group!(steps, decoding, deciding, encoding, pushing, counting, verifying);
criterion_main!(steps);
