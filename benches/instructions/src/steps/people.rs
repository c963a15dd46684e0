use anyhow::{Context as _, Result};
use tandem::{
    clock::Millis,
    id::{ConnId, NodeId, RoomId, UserId},
    room::{Action, Command, Digest, Draft, Join, Policy, Room, Update, decide},
};
use uuid::Uuid;

/// When everything happens.
pub(super) const NOW: Millis = 1_700_000_000_000;

pub(super) fn room() -> Result<RoomId> {
    RoomId::parse("film-night").context("a room's name")
}

pub(super) fn node() -> Result<NodeId> {
    NodeId::parse("node-1").context("a node's name")
}

pub(super) fn user(number: u64) -> Result<UserId> {
    UserId::parse(&format!("user-{number}")).context("a user's name")
}

pub(super) fn conn(number: u64) -> ConnId {
    ConnId(Uuid::from_u128(number.into()))
}

/// User `number` comes, and can resume.
pub(super) fn join(number: u64) -> Result<Join> {
    Ok(Join {
        user: user(number)?,
        conn: conn(number),
        node: node()?,
        origin: Digest::new([1; 32]).into(),
        username: None,
        pin: None,
        proof: None,
        token: Some(Digest::new([2; 32])),
        asked: None,
        again: false,
        grant: None,
        invited: false,
        shares: true,
    })
}

/// A room with this number of members, all present.
pub(super) fn full(members: u64) -> Result<Room> {
    let mut full = Room::vacant(room()?);
    for number in 0..members {
        full = draft(&full, &Command::Join(join(number)?))?.after;
    }
    Ok(full)
}

pub(super) fn play() -> Action {
    Action::PlayPause { playing: true, position: Some(41.5), event: None, rate: None }
}

/// The host plays.
pub(super) fn played(room: &Room) -> Result<(Update, Room)> {
    let draft = draft(room, &Command::Act { user: user(0)?, conn: conn(0), action: play() })?;
    let update =
        Update { room: room.id.clone(), epoch: room.epoch, base: room.version, at: NOW, changes: draft.changes };
    Ok((update, draft.after))
}

fn draft(room: &Room, command: &Command) -> Result<Draft> {
    decide(room, command, &Policy::default(), NOW).context("the rules say no")
}
