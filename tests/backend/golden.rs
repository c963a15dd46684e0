//! Records of every version of their layout that was ever written, which every later release reads: `golden/<record>.<version>.<letter>`.
//! What this release writes is one of them. A changed layout is a new version (`src/backend/records`) and a new file here, made with
//! `GOLDEN_WRITE=1 cargo test --test backend golden`; the old files stay for ever.

use std::{fs, path::PathBuf, sync::Arc};

use tandem::{
    backend::records::{
        Codec, Fields, NEWEST, ROOM, RecordError, SignalEnvelope, decode_entry, encode_entry, member_field,
    },
    id::NodeId,
    ledger::Entry,
    room::{Action, Command, Policy, Room, Update, decide},
};

use crate::fixture::{NOW, act, drop_socket, join, room, user};

/// One record of each kind, with as many fields set as there are.
struct Sample {
    room: Room,
    update: Arc<Update>,
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
    let update = Arc::new(update);
    let entry = Entry::new(&update, &NodeId::parse("node-2").unwrap(), &all).unwrap();
    Sample { room: all, update, entry }
}

/// The records of a room, one after the other: its fields by name.
fn encode_fields(codec: &Codec, room: &Room) -> String {
    let mut fields = vec![("v".to_owned(), room.version.to_string()), ("e".to_owned(), room.epoch.to_string())];
    fields.push((ROOM.to_owned(), codec.encode_room(room).unwrap()));
    for member in room.members.values() {
        fields.push((member_field(&member.user), codec.encode_member(member).unwrap()));
    }
    fields.iter().flat_map(|(name, value)| [name, "\0", value, "\0"]).collect()
}

fn decode_fields(bytes: &[u8]) -> Fields {
    let mut parts = bytes.split(|byte| *byte == 0);
    let mut fields = Fields::new();
    while let (Some(name), Some(value)) = (parts.next(), parts.next()) {
        fields.insert(name.to_vec(), value.to_vec());
    }
    fields
}

fn signal() -> SignalEnvelope {
    SignalEnvelope { hops: 2, room: room("film night"), to: user("ben"), frame: r#"{"type":"OFFER","n":"\n"}"#.into() }
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/backend/golden")
}

/// All golden records of a kind, oldest first: the name of the file, and its content.
fn golden(kind: &str) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let mut names: Vec<String> = entries.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    names.retain(|name| name.starts_with(&format!("{kind}.")));
    names.sort_unstable();
    names.into_iter().map(|name| (name.clone(), fs::read(folder().join(name)).unwrap())).collect()
}

/// Checks that the records of this release are golden; writes them if that is requested.
fn is_written(kind: &str, now: &[u8]) {
    let known = golden(kind);
    if known.iter().any(|(_, bytes)| bytes == now) {
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
         version of its own. See tests/backend/golden.rs. It is now:\n{}",
        String::from_utf8_lossy(now)
    );
}

#[test]
fn every_record_that_was_ever_written_can_be_read() {
    let (sample, codec) = (sample(), Codec::default());
    codec.write_version(NEWEST);
    is_written("room", encode_fields(&codec, &sample.room).as_bytes());
    is_written("update", codec.encode_update(&sample.update).unwrap().as_bytes());
    is_written("signal", codec.encode_signal(&signal()).as_bytes());
    is_written("entry", encode_entry(&sample.entry, NEWEST).unwrap().as_bytes());
    for (name, bytes) in golden("room") {
        let read = codec
            .decode_room(&room("film night"), &decode_fields(&bytes))
            .unwrap_or_else(|why| panic!("{name}: {why}"));
        assert_eq!(read, sample.room, "{name}");
    }
    for (name, bytes) in golden("update") {
        let read = codec.decode_update(&bytes).unwrap_or_else(|why| panic!("{name}: {why}"));
        assert_eq!(read, *sample.update, "{name}");
    }
    for (name, bytes) in golden("signal") {
        assert_eq!(codec.decode_signal(&bytes).unwrap_or_else(|why| panic!("{name}: {why}")), signal(), "{name}");
    }
    for (name, bytes) in golden("entry") {
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(decode_entry(&text).unwrap_or_else(|why| panic!("{name}: {why}")), sample.entry, "{name}");
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
    let fields = decode_fields(encode_fields(&later, &sample.room).as_bytes());
    is_newer(codec.decode_room(&sample.room.id, &fields).unwrap_err());
    is_newer(codec.decode_update(later.encode_update(&sample.update).unwrap().as_bytes()).unwrap_err());
    is_newer(codec.decode_signal(later.encode_signal(&signal()).as_bytes()).unwrap_err());
    is_newer(decode_entry(&encode_entry(&sample.entry, NEWEST + 1).unwrap()).unwrap_err());
    let before = serde_json::to_string(&sample.entry).unwrap();
    assert_eq!(decode_entry(&before).unwrap(), sample.entry, "one without a version is of the first");
    assert_eq!(sample.update.position(), sample.room.position());
}
