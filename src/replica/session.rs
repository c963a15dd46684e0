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

/// A connection that is about to take a seat. It does so at the very update that lets it in: its ROOM_STATE is of that version, and
/// it misses nothing after it.
#[derive(Debug, Clone)]
pub struct PendingJoin<H> {
    /// The connection.
    pub conn: ConnId,
    /// What the driver knows the connection by.
    pub handle: H,
    /// How many bytes its outbox holds.
    pub budget: usize,
    /// Which clients it is one of.
    pub generation: Generation,
    /// The features in force.
    pub features: &'static [&'static str],
    /// The resume token, in clear for its owner.
    pub token: Option<Box<str>>,
    /// For a connection that resumes: the last that it has seen.
    pub missed: Option<StreamPosition>,
}

/// A member's connection to this node.
#[derive(Debug)]
pub(super) struct Session<H> {
    pub(super) conn: ConnId,
    pub(super) handle: H,
    pub(super) generation: Generation,
    pub(super) features: &'static [&'static str],
    pub(super) nudge: Nudge,
    /// When it last reported a position.
    pub(super) reported: Option<Millis>,
    pub(super) state: State,
}

/// What a session is in.
#[derive(Debug)]
pub(super) enum State {
    /// It gets each frame at once.
    Live,
    /// It is told what it missed; what happens meanwhile waits.
    Replaying(Box<Replay>),
    /// Others gave its member up, though its socket lives. Its member takes its seat again.
    WronglyEvicted(Box<Eviction>),
}

/// A member that was given up wrongly.
#[derive(Debug)]
pub(super) struct Eviction {
    /// As it was.
    pub(super) member: Member,
    replay: Option<Box<Replay>>,
}

/// A resuming client that is told what it missed.
#[derive(Debug)]
pub(super) struct Replay {
    pub(super) from: StreamPosition,
    /// The version at which its session began: what came after it waits here.
    pub(super) since: u64,
    pub(super) token: Option<Box<str>>,
    /// How many bytes its outbox holds.
    pub(super) budget: usize,
    /// What waits, in order.
    pub(super) frames: Vec<(Frame, Class)>,
    bytes: usize,
    /// More came than may wait: all of it is gone, and so many frames of it were for this member alone.
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
    /// `watching`: whether its member was last known to watch. Whether it still does is seen from now on. `since`: the room's version.
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

    /// Every frame for a member that is connected here goes through this.
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

    /// Others gave its member up.
    pub(super) fn evict(&mut self, member: Member) {
        let replay = match std::mem::replace(&mut self.state, State::Live) {
            State::Live => None,
            State::Replaying(replay) => Some(replay),
            State::WronglyEvicted(before) => before.replay,
        };
        self.state = State::WronglyEvicted(Box::new(Eviction { member, replay }));
    }

    /// Its member has its seat.
    pub(super) fn reattach(&mut self) {
        if let State::WronglyEvicted(eviction) = &mut self.state {
            self.state = eviction.replay.take().map_or(State::Live, State::Replaying);
        }
    }

    /// The member that was given up wrongly.
    pub(super) fn evicted(&self) -> Option<&Member> {
        match &self.state {
            State::WronglyEvicted(eviction) => Some(&eviction.member),
            _ => None,
        }
    }

    /// From where it is told what it missed.
    pub(super) fn replays_from(&self) -> Option<StreamPosition> {
        match &self.state {
            State::Replaying(replay) => Some(replay.from),
            State::WronglyEvicted(eviction) => eviction.replay.as_ref().map(|replay| replay.from),
            State::Live => None,
        }
    }

    /// It is told what it missed now: nothing waits any longer.
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
