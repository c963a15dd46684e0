//! Records of every version of their layout that was ever written, which every later release reads: `golden/<record>.<version>.<letter>`.
//! What this release writes is one of them. A changed layout is a new version (`src/backend/records`) and a new file here, made with
//! `GOLDEN_WRITE=1 cargo test --test backend golden`; the old files stay for ever.

use std::{fs, path::PathBuf, sync::Arc};

use tandem::{
    backend::records::{
        Codec, Fields, LINEAGE, NEWEST, PLAYBACK, ROOM, RecordError, SignalEnvelope, ban_field, decode_entry,
        encode_entry, encode_lineage, member_field,
    },
    id::NodeId,
    ledger::Entry,
    room::{
        Action, Ban, Command, Digest, Gate, Grant, GrantedRole, Member, Policy, Presence, Removal, Rights, Room,
        Update, Vacancy, decide,
    },
};

use crate::fixture::{NOW, act, drop_socket, join, room, user};

/// One record of each kind, with as many fields set as there are.
struct Sample {
    /// The room after `update`.
    room: Room,
    update: Update,
    /// What moved the film after that.
    played: Update,
    /// The room after `played`.
    after: Room,
    entry: Entry,
}

/// The outcome of a command.
fn step(room: &mut Room, command: &Command) -> Update {
    let draft = decide(room, command, &Policy::default(), NOW).unwrap();
    let epoch = if room.exists() { room.epoch } else { draft.after.epoch };
    let update = Update { room: room.id.clone(), epoch, base: room.version, at: NOW, changes: draft.changes };
    *room = draft.after;
    update
}

fn sample() -> Sample {
    let mut all = Room::vacant(room("film night"));
    for name in ["ana", "ben", "cem"] {
        step(&mut all, &join(name, "node-1", true));
    }
    step(&mut all, &act("ana", Action::ChangeUrl { url: "https://films.example.org/1".into(), time: None }));
    step(&mut all, &act("ana", Action::Watching { watching: true }));
    step(&mut all, &act("ana", Action::Seek { position: 61.5, playing: true, event: None }));
    step(&mut all, &drop_socket("ben", true));
    let update = step(&mut all, &join("dan", "node-2", true));
    let entry = Entry::new(&Arc::new(update.clone()), &NodeId::parse("node-2").unwrap(), &all).unwrap();
    let play = Action::PlayPause { playing: false, position: Some(90.5), event: Some(1.0), rate: None };
    let mut after = all.clone();
    let played = step(&mut after, &act("ana", play));
    Sample { room: all, update, played, after, entry }
}

/// The records of the room after `played`: its fields by name.
fn encode_fields(codec: &Codec, sample: &Sample) -> Vec<(String, Vec<u8>)> {
    let Sample { room, played, after, .. } = sample;
    let mut fields = vec![
        ("v".to_owned(), after.version.to_string().into()),
        ("e".to_owned(), after.epoch.to_string().into()),
        (LINEAGE.to_owned(), encode_lineage(after)),
        (ROOM.to_owned(), codec.encode_room(room).unwrap()),
        (PLAYBACK.to_owned(), codec.encode_update(played)),
    ];
    for member in room.members.values() {
        fields.push((member_field(&member.user), codec.encode_member(member).unwrap()));
    }
    fields
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn bytes(hex: &str) -> Vec<u8> {
    hex.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// A line for each field: its name, and its value in hexadecimal digits.
fn lines(fields: &[(String, Vec<u8>)]) -> String {
    fields.iter().fold(String::new(), |text, (name, value)| text + name + " " + &hex(value) + "\n")
}

fn fields_of(lines: &str) -> Fields {
    let pairs = lines.lines().map(|line| line.split_once(' ').unwrap());
    pairs.map(|(name, value)| (name.into(), bytes(value))).collect()
}

fn signal() -> SignalEnvelope {
    SignalEnvelope { hops: 2, room: room("film night"), to: user("ben"), frame: r#"{"type":"OFFER","n":"\n"}"#.into() }
}

fn ban() -> Ban {
    Ban { user: user("eve"), username: Some("Eve".into()), origin: Some(Digest::new([7; 32])), at: NOW }
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/backend/golden")
}

/// All golden records of a kind, oldest first: the name of the file, and its content.
fn golden(kind: &str) -> Vec<(String, String)> {
    let entries = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let mut names: Vec<String> = entries.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    names.retain(|name| name.starts_with(&format!("{kind}.")));
    names.sort_unstable();
    names.into_iter().map(|name| (name.clone(), fs::read_to_string(folder().join(name)).unwrap())).collect()
}

/// All golden records of a kind that are one value.
fn values(kind: &str) -> Vec<(String, Vec<u8>)> {
    golden(kind).into_iter().map(|(name, text)| (name, bytes(text.trim_end()))).collect()
}

/// Checks that the records of this release are golden; writes them if that is requested.
fn is_written(kind: &str, now: &str) {
    let known = golden(kind);
    if known.iter().any(|(_, text)| text == now) {
        return;
    }
    if std::env::var_os("GOLDEN_WRITE").is_some() {
        let of_version = known.iter().filter(|(name, _)| name.starts_with(&format!("{kind}.{NEWEST}."))).count();
        let letter = char::from(b'a' + u8::try_from(of_version).unwrap());
        fs::write(folder().join(format!("{kind}.{NEWEST}.{letter}")), now).unwrap();
        return;
    }
    panic!(
        "the layout of {kind} has changed. If nodes of the release before hand the change on unseen, write it down; else it is a \
         version of its own. See tests/backend/golden.rs. It is now:\n{now}"
    );
}

#[test]
fn every_record_that_was_ever_written_can_be_read() {
    let (sample, codec) = (sample(), Codec::default());
    codec.write_version(NEWEST);
    let one = |record: Vec<u8>| hex(&record) + "\n";
    is_written("room", &lines(&encode_fields(&codec, &sample)));
    is_written("update", &one(codec.encode_update(&sample.update)));
    is_written("signal", &one(codec.encode_signal(&signal())));
    is_written("ban", &one(codec.encode_ban(&ban())));
    is_written("entry", &one(encode_entry(&sample.entry, &codec)));
    for (name, text) in golden("room") {
        let read =
            codec.decode_room(&room("film night"), &fields_of(&text)).unwrap_or_else(|why| panic!("{name}: {why}"));
        assert_eq!(read, sample.after, "{name}");
    }
    for (name, record) in values("ban") {
        let mut fields = fields_of(&lines(&encode_fields(&codec, &sample)));
        fields.insert(ban_field(&ban().user).into(), record);
        let read = codec.decode_room(&sample.room.id, &fields).unwrap_or_else(|why| panic!("{name}: {why}"));
        assert_eq!(read.bans.values().collect::<Vec<_>>(), [&ban()], "{name}");
    }
    for (name, record) in values("update") {
        let read = codec.decode_update(&sample.update.room, &record).unwrap_or_else(|why| panic!("{name}: {why}"));
        assert_eq!(read, sample.update, "{name}");
    }
    for (name, record) in values("signal") {
        assert_eq!(codec.decode_signal(&record).unwrap_or_else(|why| panic!("{name}: {why}")), signal(), "{name}");
    }
    for (name, record) in values("entry") {
        assert_eq!(decode_entry(&record).unwrap_or_else(|why| panic!("{name}: {why}")), sample.entry, "{name}");
    }
}

#[test]
fn a_record_of_a_later_version_is_called_that() {
    let codec = Codec::default();
    let later = Codec::new(NEWEST + 1);
    later.write_version(NEWEST + 1);
    let sample = sample();
    let is_newer = |error: RecordError| {
        let text = error.to_string();
        assert!(matches!(error, RecordError::Newer { written, reads: NEWEST } if written == NEWEST + 1), "{text}");
        assert!(text.contains("a newer release wrote it"), "{text}");
    };
    let fields = fields_of(&lines(&encode_fields(&later, &sample)));
    is_newer(codec.decode_room(&sample.room.id, &fields).unwrap_err());
    is_newer(codec.decode_update(&sample.update.room, &later.encode_update(&sample.update)).unwrap_err());
    is_newer(codec.decode_signal(&later.encode_signal(&signal())).unwrap_err());
    is_newer(decode_entry(&encode_entry(&sample.entry, &later)).unwrap_err());
    assert_eq!(sample.update.position(), sample.room.position());
}

/// A record with more fields, or fewer, is one that another release wrote; half a record is none.
#[test]
fn a_part_of_a_record_is_an_error() {
    let (sample, codec) = (sample(), Codec::default());
    let update = codec.encode_update(&sample.update);
    let entry = encode_entry(&sample.entry, &codec);
    for cut in 0..update.len() {
        assert!(codec.decode_update(&sample.update.room, &update[..cut]).is_err(), "{cut} bytes of an update");
    }
    for cut in 0..entry.len() {
        assert!(decode_entry(&entry[..cut]).is_err(), "{cut} bytes of an entry");
    }
}

/// The numbers of fields are counted up, so that what has a higher one is of a later release.
#[test]
fn each_field_of_a_map_has_its_number() {
    let (sample, codec) = (sample(), Codec::default());
    let fields = fields_of(&lines(&encode_fields(&codec, &sample)));
    let read = codec.decode_room(&sample.room.id, &fields).unwrap();
    assert!(read.unknown.is_empty() && read.members.values().all(|member| member.unknown.is_empty()));
    let numbers = |record: &[u8]| {
        let mut decoder = minicbor::Decoder::new(record);
        let fields = decoder.map().unwrap().unwrap();
        let number = |_| (decoder.u64().unwrap(), decoder.skip().unwrap()).0;
        (0..fields).map(number).collect::<Vec<_>>()
    };
    assert_eq!(
        numbers(&codec.encode_room(&full_room(&sample.room)).unwrap()[1..]),
        (0..Room::FIELDS).collect::<Vec<_>>()
    );
    let member = Member { presence: Presence::Present, ..full_member(&sample.room) };
    let record = codec.encode_member(&member).unwrap();
    let map = record.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    assert_eq!(numbers(&record[map..]), (0..Member::FIELDS).collect::<Vec<_>>());
}

fn granted() -> Grant {
    Grant { verified: true, role: Some(GrantedRole::Host), rights: Rights::ALL, named: true, metadata: None }
}

fn full_member(room: &Room) -> Member {
    let digest = Some(Digest::new([7; 32]));
    let member = room.members[0].clone();
    Member {
        username: Some("Ana".into()),
        token: digest,
        token_before: digest,
        token_beside: digest.map(Box::new),
        shown_at: std::num::NonZero::new(9),
        grant: Some(Box::new(granted())),
        ..member
    }
}

fn full_room(room: &Room) -> Room {
    let digest = Some(Digest::new([7; 32]));
    let gate = Gate { target: 0.5, opened: 1, deadline: 2, waiting: vec![user("ana")], ready: 1 };
    Room {
        born: std::num::NonZero::new(5),
        pin: digest,
        misses: serde_json::from_str(r#"{"count": 1, "last": 2, "open_at": 3}"#).unwrap(),
        attempts: serde_json::from_str(r#"{"whole_at": 4}"#).unwrap(),
        host: Some(user("ana")),
        vacancy: Some(Vacancy { user: user("ben"), origin: digest, until: 9 }),
        gate: Some(Box::new(gate)),
        empty_until: Some(7),
        kicked: vec![user("eve")],
        locked: true,
        removed: vec![Removal { user: user("eve"), origin: Digest::new([8; 32]) }],
        pin_guard: serde_json::from_str(r#"{"whole_at": 1, "guessers": [], "former": []}"#).unwrap(),
        ..room.clone()
    }
}
