use std::sync::Arc;

use super::{LocalRoom, Outbox, nudge::Nudge};
use crate::{
    clock::Millis,
    id::{ConnId, UserId},
    protocol::Frame,
    telemetry::Share,
};

/// A socket that is about to take a seat. It does so at the very update that lets it in: its ROOM_STATE is of that version, and
/// nothing after it is missed.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// The socket.
    pub conn: ConnId,
    /// Its outbox.
    pub outbox: Arc<Outbox>,
    /// Whether it sent `features`.
    pub modern: bool,
    /// Those in force.
    pub features: &'static [&'static str],
    /// The resume token, in clear for its owner.
    pub token: Option<Box<str>>,
    /// For those that resume: what they have.
    pub missed: Option<Missed>,
}

/// The last that a resuming client has seen.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs, reason = "the names are those of the wire")]
pub struct Missed {
    pub epoch: u64,
    pub version: u64,
}

/// Which seat a socket speaks for.
#[derive(Debug, Clone)]
pub struct Membership {
    /// The room.
    pub room: Arc<LocalRoom>,
    /// The member.
    pub user: UserId,
    /// The socket.
    pub conn: ConnId,
}

impl Membership {
    /// The room's version as this node knows it.
    pub fn version(&self) -> u64 {
        self.room.local().replica.version
    }
}

/// A member's place on this node.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) conn: ConnId,
    pub(super) outbox: Arc<Outbox>,
    pub(super) modern: bool,
    pub(super) features: &'static [&'static str],
    pub(super) nudge: Nudge,
    /// When it last reported a position.
    pub(super) reported: Option<Millis>,
    /// While a resuming client is being told what it missed, what happens meanwhile waits here.
    pub(super) held: Option<Box<Held>>,
    /// For as long as it is somebody's.
    #[expect(dead_code, reason = "it counts by being there")]
    pub(super) present: Share,
}

/// A resuming client that is still being told what it missed.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) arrival: Arrival,
    pub(super) frames: Vec<(Frame, Kind)>,
    /// Their bytes.
    pub(super) bytes: usize,
    /// More came than may wait: all of it is gone, and so many of that were meant for this member alone.
    pub(super) lost: Option<u64>,
}

impl Held {
    pub(super) fn new(arrival: Arrival) -> Self {
        Self { arrival, frames: Vec::new(), bytes: 0, lost: None }
    }

    fn push(&mut self, frame: &Frame, kind: Kind) {
        if self.lost.is_none() && self.bytes + frame.len() <= self.arrival.outbox.budget() / 2 {
            self.bytes += frame.len();
            self.frames.push((frame.clone(), kind));
            return;
        }
        let direct = std::mem::take(&mut self.frames).iter().filter(|(_, kind)| *kind == Kind::Direct).count() as u64;
        *self.lost.get_or_insert_default() += direct + u64::from(kind == Kind::Direct);
    }
}

/// What a frame is to its receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A change of the room.
    Room,
    /// Meant for this member alone.
    Direct,
}

impl Seat {
    pub(super) fn push(&mut self, frame: &Frame, kind: Kind) {
        match &mut self.held {
            Some(held) => held.push(frame, kind),
            None => self.outbox.push(frame.clone()),
        }
    }
}
