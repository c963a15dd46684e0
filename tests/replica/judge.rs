//! Checks that clients were told what happened.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tandem::{
    protocol::{Stamp, announce, encode},
    replica::Failure,
    room::{Change, Update},
};

use crate::{client::Client, name::NODES, world::World};

/// The frames of one connection between two snapshots.
#[derive(Debug, Default)]
struct Segment {
    epoch: u64,
    /// The version that the client had at its beginning.
    after: u64,
    frames: Vec<Value>,
}

fn segments(client: &Client) -> Vec<Segment> {
    let mut segments = Vec::new();
    let mut current: Option<Segment> = None;
    for frame in &client.frames {
        let point = frame["epoch"].as_u64().zip(frame["version"].as_u64());
        let begins = match frame["type"].as_str().unwrap() {
            "ROOM_STATE" => point,
            "RESUMED" => client.resumed_from.map(|from| (from.epoch, from.version)),
            _ => None,
        };
        if let Some((epoch, after)) = begins {
            segments.extend(current.replace(Segment { epoch, after, frames: Vec::new() }));
        } else if point.is_some() {
            let current = current.as_mut().expect("a room frame comes after ROOM_STATE or RESUMED");
            current.frames.push(frame.clone());
        }
    }
    segments.extend(current);
    segments
}

/// The room frames with a version that a client should get from these updates, after some version of an epoch.
fn expected(client: &Client, story: &[std::sync::Arc<Update>], segment: &Segment) -> Vec<Value> {
    let mut frames = Vec::new();
    for update in story.iter().filter(|update| update.epoch == segment.epoch) {
        for (version, change) in (update.base + 1..).zip(&update.changes) {
            let own_departure = matches!(change, Change::Left { user, .. } if *user == client.user);
            if version <= segment.after || own_departure {
                continue;
            }
            announce(change, Stamp { epoch: update.epoch, version, timestamp: update.at }, |audience, frame| {
                let frame: Value = serde_json::from_str(&encode(&frame)).unwrap();
                if audience.includes(&client.user) && frame["version"].is_u64() {
                    frames.push(frame);
                }
            });
        }
    }
    frames
}

/// Leaves out what a client is told of its own departure, because a member that was wrongly evicted is not told that.
fn without_own_departure(client: &Client, frames: &[Value]) -> Vec<Value> {
    let own = |frame: &&Value| frame["type"] == "USER_LEFT" && frame["userId"] == client.user.as_str();
    frames.iter().filter(|frame| !own(frame)).cloned().collect()
}

/// Promise 1: frames come in the order of their versions.
pub fn in_order(world: &World) {
    for client in &world.clients {
        for segment in segments(client) {
            let versions: Vec<u64> = segment.frames.iter().map(|frame| frame["version"].as_u64().unwrap()).collect();
            assert!(versions.iter().all(|version| *version > segment.after), "nothing comes twice: {segment:?}");
            assert!(versions.windows(2).all(|pair| pair[0] <= pair[1]), "in order: {segment:?}");
            assert!(segment.frames.iter().all(|frame| frame["epoch"] == segment.epoch), "of one epoch: {segment:?}");
        }
    }
}

/// Promises 1 and 2: each client was told just what happened from its ROOM_STATE on, in the same order as all others. With `all`, this
/// holds before its last ROOM_STATE too.
pub fn complete(world: &World, all: bool) {
    for (handle, client) in world.clients.iter().enumerate() {
        let segments = segments(client);
        let last = segments.len().saturating_sub(1);
        let attached = world.session(handle);
        for (number, segment) in segments.iter().enumerate() {
            if !all && (number < last || !attached) {
                continue;
            }
            let expected = expected(client, &world.store.story, segment);
            let told = without_own_departure(client, &segment.frames);
            assert!(
                expected.starts_with(&told),
                "{} was told something else than what happened: {told:#?}\nbut it was {expected:#?}",
                client.user
            );
            if number == last && attached {
                assert_eq!(told.len(), expected.len(), "{} was not told all: {expected:#?}", client.user);
            }
        }
        // A client that gets a new ROOM_STATE on the same connection is told why, unless it is of the first generation.
        if client.modern {
            let news: Vec<&str> = client.frames.iter().filter_map(|frame| frame["type"].as_str()).collect();
            for (place, _) in news.iter().enumerate().skip(1).filter(|(_, kind)| **kind == "ROOM_STATE") {
                assert_eq!(news[place - 1], "DISCONTINUITY", "{news:?}");
            }
        }
    }
}

/// All nodes with members in the room have the same room, and the members of a node are exactly its connections.
pub fn agree(world: &World) {
    let room = &world.store.room;
    for node in world.nodes.iter().filter(|node| node.replica.sessions() > 0) {
        assert_eq!(node.replica.room(), room);
        assert_eq!(node.replica.resync(), None, "nothing is left to be made good");
    }
    let attached: BTreeSet<String> = (0..world.clients.len())
        .filter(|handle| world.session(*handle))
        .map(|handle| format!("{} on {}", world.clients[handle].user, world.clients[handle].conn.0))
        .collect();
    let here = room.members.values().filter(|member| {
        let node: usize = member.node.as_str()[1..].parse().unwrap();
        // After a crash nobody gives up the seats until a reaper comes.
        member.present() && node < NODES && world.nodes[node].replica.is_loaded()
    });
    let seated: BTreeSet<String> = here.map(|member| format!("{} on {}", member.user, member.conn.0)).collect();
    assert_eq!(attached, seated, "seats in the room, and sessions");
}

/// What was acknowledged happened once, what was refused did not happen, and what was not answered happened at most once.
pub fn acknowledged(world: &World) {
    let mut said: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for update in &world.store.story {
        for (version, change) in (update.base + 1..).zip(&update.changes) {
            if let Change::Broadcast { event, .. } = change {
                said.entry(event.to_string()).or_default().push(version);
            }
        }
    }
    for asked in &world.asked {
        let found = said.get(&asked.event).map_or(&[] as &[u64], Vec::as_slice);
        match &asked.result {
            Some(Ok(version)) => assert_eq!(found, [*version], "{} was acknowledged", asked.event),
            Some(Err(Failure::Backend(_))) | None => assert!(found.len() <= 1, "{} came twice", asked.event),
            Some(Err(_)) => assert!(found.is_empty(), "{} was refused", asked.event),
        }
    }
}

/// Promise 3: signals from one member to another come in order, and none comes twice on one connection.
pub fn signals_in_order(world: &World) {
    for client in &world.clients {
        let mut last: BTreeMap<&str, u64> = BTreeMap::new();
        for frame in client.frames.iter().filter(|frame| frame["to"] == client.user.as_str()) {
            let Some(number) = frame["event"].as_str().and_then(|event| event.strip_prefix('s')) else { continue };
            let number: u64 = number.parse().unwrap();
            let before = last.insert(frame["userId"].as_str().unwrap(), number);
            assert!(before.is_none_or(|before| before < number), "{}: {number} after {before:?}", client.user);
        }
    }
}
