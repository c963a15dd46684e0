use super::{
    effect::{Class, Effect},
    replica::Out,
};
use crate::{
    clock::Millis,
    id::ConnId,
    protocol::{Frame, Generation},
    room::{Member, Nudge, StreamPosition},
};

/// A connection that is joining. It gets its seat with the very update that admits it: its ROOM_STATE has that version, and it misses
/// nothing after it.
#[derive(Debug, Clone)]
pub struct PendingJoin<H> {
    /// The connection.
    pub conn: ConnId,
    /// The driver's handle of the connection.
    pub handle: H,
    /// The capacity of its outbox, in bytes.
    pub budget: usize,
    /// The generation of the client.
    pub generation: Generation,
    /// The features in force.
    pub features: &'static [&'static str],
    /// The resume token, in clear for its owner.
    pub token: Option<Box<str>>,
    /// For a RESUME: the last position that the client has seen.
    pub missed: Option<StreamPosition>,
}

/// The connection of a member to this node.
#[derive(Debug)]
pub(super) struct Session<H> {
    pub(super) conn: ConnId,
    pub(super) handle: H,
    pub(super) generation: Generation,
    pub(super) features: &'static [&'static str],
    pub(super) nudge: Nudge,
    /// When the member last reported a position.
    pub(super) reported: Option<Millis>,
    pub(super) state: State,
}

/// The state of a session.
#[derive(Debug)]
pub(super) enum State {
    /// Frames are sent at once.
    Live,
    /// Missed updates are being replayed; new frames are buffered.
    Replaying(Box<Replay>),
    /// Other nodes released the seat although its socket lives. The member is to be reattached.
    WronglyEvicted(Box<Eviction>),
}

/// A member that was wrongly evicted.
#[derive(Debug)]
pub(super) struct Eviction {
    /// The member before the eviction.
    pub(super) member: Member,
    replay: Option<Box<Replay>>,
}

/// A resuming client to which missed updates are replayed.
#[derive(Debug)]
pub(super) struct Replay {
    pub(super) from: StreamPosition,
    /// The version at which its session began; later frames are buffered.
    pub(super) since: u64,
    pub(super) token: Option<Box<str>>,
    /// The capacity of its outbox, in bytes.
    pub(super) budget: usize,
    /// The buffered frames, in order.
    pub(super) frames: Vec<(Frame, Class)>,
    bytes: usize,
    /// The buffer overflowed and was dropped; this is the number of dropped frames that were for this member alone.
    pub(super) lost: Option<u64>,
}

impl Replay {
    fn push(&mut self, frame: &Frame, class: Class) {
        if self.lost.is_none() && self.bytes + frame.len() <= self.budget / 2 {
            self.bytes += frame.len();
            self.frames.push((frame.clone(), class));
            return;
        }
        let direct =
            std::mem::take(&mut self.frames).iter().filter(|(_, class)| *class == Class::Direct).count() as u64;
        *self.lost.get_or_insert_default() += direct + u64::from(class == Class::Direct);
    }
}

impl<H> Session<H> {
    /// `watching`: whether the member was last known to watch; this is observed anew from now on. `since`: the version of the room.
    pub(super) fn new(join: PendingJoin<H>, watching: bool, since: u64, now: Millis) -> Self {
        let PendingJoin { conn, handle, budget, generation, features, token, missed } = join;
        let replay = |from| Box::new(Replay { from, since, token, budget, frames: Vec::new(), bytes: 0, lost: None });
        Self {
            conn,
            handle,
            generation,
            features,
            nudge: Nudge::new(now),
            reported: watching.then_some(now),
            state: missed.map_or(State::Live, |from| State::Replaying(replay(from))),
        }
    }

    /// All frames for a connected member pass here.
    pub(super) fn push(&mut self, frame: &Frame, class: Class, out: Out<'_, H>) {
        if !self.generation.gets(frame.kind()) {
            return;
        }
        match &mut self.state {
            State::Replaying(replay) => replay.push(frame, class),
            State::WronglyEvicted(eviction) => match &mut eviction.replay {
                Some(replay) => replay.push(frame, class),
                None => out(Effect::Send { to: &self.handle, frame, class }),
            },
            State::Live => out(Effect::Send { to: &self.handle, frame, class }),
        }
    }

    /// Records that other nodes have evicted the member.
    pub(super) fn evict(&mut self, member: Member) {
        let replay = match std::mem::replace(&mut self.state, State::Live) {
            State::Live => None,
            State::Replaying(replay) => Some(replay),
            State::WronglyEvicted(before) => before.replay,
        };
        self.state = State::WronglyEvicted(Box::new(Eviction { member, replay }));
    }

    /// Records that the member has its seat again.
    pub(super) fn reattach(&mut self) {
        if let State::WronglyEvicted(eviction) = &mut self.state {
            self.state = eviction.replay.take().map_or(State::Live, State::Replaying);
        }
    }

    /// The member that was wrongly evicted.
    pub(super) fn evicted(&self) -> Option<&Member> {
        match &self.state {
            State::WronglyEvicted(eviction) => Some(&eviction.member),
            _ => None,
        }
    }

    /// The position from which missed updates are replayed.
    pub(super) fn replays_from(&self) -> Option<StreamPosition> {
        match &self.state {
            State::Replaying(replay) => Some(replay.from),
            State::WronglyEvicted(eviction) => eviction.replay.as_ref().map(|replay| replay.from),
            State::Live => None,
        }
    }

    /// Ends the replay, and returns the buffered frames.
    pub(super) fn end_replay(&mut self) -> Option<Box<Replay>> {
        match &mut self.state {
            State::WronglyEvicted(eviction) => eviction.replay.take(),
            State::Live => None,
            State::Replaying(_) => match std::mem::replace(&mut self.state, State::Live) {
                State::Replaying(replay) => Some(replay),
                _ => None,
            },
        }
    }
}
