//! A room, its clock, and the users that send it commands.

use proptest::prelude::*;
use tandem::{
    clock::Millis,
    id::{ConnId, NodeId, RoomId, UserId},
    room::{
        Action, Attempt, Change, Command, Digest, Join, Member, Policy, Refusal, Resume, Role, Room, Update, decide,
    },
};
use uuid::Uuid;

pub const START: Millis = 1_700_000_000_000;

/// A command, in numbers that proptest can shrink.
#[derive(Debug, Clone)]
pub enum Op {
    Join { user: u8, socket: u8, origin: u8, pin: Option<u8>, resumable: bool },
    Resume { user: u8, socket: u8, right: bool },
    Disconnect { user: u8, keep_seat: bool },
    MissPin { origin: u8 },
    Reap { node: u8 },
    Reattach { which: u8 },
    Act { user: u8, action: Act },
    Tick,
}

#[derive(Debug, Clone)]
pub enum Act {
    Leave,
    Rename(u8),
    PlayPause(bool, Option<u16>),
    Seek(u16, bool),
    Ready { right: bool },
    Heartbeat(u16, bool),
    Report(u16, bool),
    Watching(bool),
    Url(u8),
    GuestControl(bool),
    Transfer(u8),
    Role(u8, bool),
    Kick(u8),
    Lock(bool),
    SetPin(Option<u8>),
    Ban(u8),
    Unban(u8),
    Broadcast,
}

pub fn op() -> impl Strategy<Value = Op> {
    let user = 0..5_u8;
    prop_oneof![
        4 => (user.clone(), any::<u8>(), 0..3_u8, prop::option::of(0..2_u8), any::<bool>())
            .prop_map(|(user, socket, origin, pin, resumable)| Op::Join { user, socket, origin, pin, resumable }),
        1 => (user.clone(), any::<u8>(), any::<bool>()).prop_map(|(user, socket, right)| Op::Resume { user, socket, right }),
        2 => (user.clone(), any::<bool>()).prop_map(|(user, keep_seat)| Op::Disconnect { user, keep_seat }),
        1 => (0..12_u8).prop_map(|origin| Op::MissPin { origin }),
        1 => (0..2_u8).prop_map(|node| Op::Reap { node }),
        1 => any::<u8>().prop_map(|which| Op::Reattach { which }),
        8 => (user, act()).prop_map(|(user, action)| Op::Act { user, action }),
        3 => Just(Op::Tick),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        1 => Just(Act::Leave),
        1 => any::<u8>().prop_map(Act::Rename),
        3 => (any::<bool>(), prop::option::of(any::<u16>())).prop_map(|(playing, at)| Act::PlayPause(playing, at)),
        3 => (any::<u16>(), any::<bool>()).prop_map(|(at, playing)| Act::Seek(at, playing)),
        3 => any::<bool>().prop_map(|right| Act::Ready { right }),
        2 => (any::<u16>(), any::<bool>()).prop_map(|(at, playing)| Act::Heartbeat(at, playing)),
        2 => (any::<u16>(), any::<bool>()).prop_map(|(at, playing)| Act::Report(at, playing)),
        3 => any::<bool>().prop_map(Act::Watching),
        2 => (0..2_u8).prop_map(Act::Url),
        1 => any::<bool>().prop_map(Act::GuestControl),
        1 => (0..5_u8).prop_map(Act::Transfer),
        1 => (0..5_u8, any::<bool>()).prop_map(|(user, up)| Act::Role(user, up)),
        1 => (0..5_u8).prop_map(Act::Kick),
        1 => any::<bool>().prop_map(Act::Lock),
        1 => prop::option::of(0..2_u8).prop_map(Act::SetPin),
        1 => (0..6_u8).prop_map(Act::Ban),
        1 => (0..6_u8).prop_map(Act::Unban),
        1 => Just(Act::Broadcast),
    ]
}

pub fn user(number: u8) -> UserId {
    UserId::parse(&format!("user_{number}")).unwrap()
}

pub fn digest(number: u8) -> Digest {
    Digest::new([number; 32])
}

pub fn conn(user: u8, socket: u8) -> ConnId {
    ConnId(Uuid::from_u128(u128::from(user) << 8 | u128::from(socket)))
}

fn node(socket: u8) -> NodeId {
    NodeId::parse(if socket.is_multiple_of(2) { "north" } else { "south" }).unwrap()
}

/// A user from this address showed a wrong PIN.
pub fn missed_pin(origin: u8) -> Command {
    Command::Refused(Attempt {
        user: user(9),
        conn: conn(9, 9),
        origin: digest(origin),
        what: "JOIN".into(),
        refusal: Refusal::InvalidPin,
    })
}

pub struct World {
    pub room: Room,
    pub now: Millis,
    pub policy: Policy,
    /// Every update so far, encoded and decoded as between nodes.
    pub updates: Vec<String>,
    /// Every member that ever had a seat, as it was then.
    pub seated: Vec<Member>,
}

impl Default for World {
    fn default() -> Self {
        let policy = Policy { max_members: 4, ..Policy::default() };
        Self {
            room: Room::vacant(RoomId::parse("r").unwrap()),
            now: START,
            policy,
            updates: Vec::new(),
            seated: Vec::new(),
        }
    }
}

impl World {
    pub fn command(&self, op: &Op) -> Command {
        match op {
            Op::Join { user: who, socket, origin, pin, resumable } => {
                let seated = self.room.members.get(&user(*who)).map(|member| member.conn);
                Command::Join(Join {
                    user: user(*who),
                    // An even number means the socket of the member, if it has one.
                    conn: seated.filter(|_| socket % 2 == 0).unwrap_or(conn(*who, *socket)),
                    node: node(*socket),
                    origin: digest(*origin).into(),
                    username: (socket % 3 == 0).then(|| "name".into()),
                    pin: pin.map(|pin| digest(pin).into()),
                    proof: None,
                    token: resumable.then(|| digest(100 + *who)),
                    asked: None,
                    again: false,
                    grant: None,
                    invited: false,
                    shares: true,
                })
            }
            Op::Resume { user: who, socket, right } => Command::Resume(Resume {
                user: user(*who),
                conn: conn(*who, *socket),
                node: node(*socket),
                origin: digest(9).into(),
                proof: if *right { digest(100 + *who) } else { digest(200) }.into(),
                token: digest(100 + *who),
                grant: None,
            }),
            Op::Disconnect { user: who, keep_seat } => {
                let conn = self.seat(*who);
                Command::Disconnect { user: user(*who), conn, keep_seat: *keep_seat }
            }
            Op::MissPin { origin } => missed_pin(*origin),
            Op::Reap { node: number } => Command::Reap { node: node(*number) },
            Op::Reattach { which } => match self.seated.get(usize::from(*which) % self.seated.len().max(1)) {
                Some(member) => Command::Reattach(Box::new(member.clone())),
                None => Command::Tick,
            },
            Op::Act { user: who, action } => {
                Command::Act { user: user(*who), conn: self.seat(*who), action: self.action(action) }
            }
            Op::Tick => Command::Tick,
        }
    }

    fn seat(&self, who: u8) -> ConnId {
        self.room.members.get(&user(who)).map_or(conn(who, 255), |member| member.conn)
    }

    fn action(&self, act: &Act) -> Action {
        let target = self.room.gate.as_ref().map_or(0.0, |gate| gate.target);
        match act {
            Act::Leave => Action::Leave,
            Act::Rename(name) => Action::Rename { username: name.to_string().into() },
            Act::PlayPause(playing, at) => {
                Action::PlayPause { playing: *playing, position: at.map(f64::from), event: None, rate: None }
            }
            Act::Seek(at, playing) => Action::Seek { position: f64::from(*at), playing: *playing, event: None },
            Act::Ready { right } => Action::Ready { target: if *right { target } else { target + 0.5 } },
            Act::Heartbeat(at, playing) => {
                Action::Heartbeat { position: f64::from(*at), playing: *playing, event: None }
            }
            Act::Report(at, playing) => Action::Report { position: f64::from(*at), playing: *playing },
            Act::Watching(watching) => Action::Watching { watching: *watching },
            Act::Url(number) => Action::ChangeUrl { url: format!("https://x.org/{number}").into(), time: None },
            Act::GuestControl(enabled) => Action::GuestControl { enabled: *enabled },
            Act::Transfer(to) => Action::TransferHost { to: user(*to) },
            Act::Role(to, up) => Action::SetRole { to: user(*to), role: if *up { Role::CoHost } else { Role::Member } },
            Act::Kick(who) => Action::Kick { who: user(*who), note: None },
            Act::Lock(locked) => Action::LockRoom { locked: *locked },
            Act::SetPin(pin) => Action::SetPin { pin: pin.map(digest) },
            Act::Ban(who) => Action::Ban { who: user(*who), note: None },
            Act::Unban(who) => Action::Unban { who: user(*who) },
            Act::Broadcast => Action::Broadcast { event: "x".into(), data: None },
        }
    }

    /// Carries out a command, if the room allows it.
    pub fn run(&mut self, command: &Command) -> Result<Vec<Change>, Refusal> {
        let before = self.room.clone();
        let draft = decide(&self.room, command, &self.policy, self.now)?;
        for change in &draft.changes {
            self.room.apply(change, self.now);
            if let Change::Joined { member, .. } | Change::Rejoined { member, .. } | Change::Back { member, .. } =
                change
            {
                self.seated.push(member.clone());
            }
        }
        assert_eq!(self.room, draft.after, "what was drafted is what comes out");
        if !draft.changes.is_empty() {
            let update = Update {
                room: before.id,
                epoch: self.room.epoch,
                base: before.version,
                at: self.now,
                changes: draft.changes.clone(),
            };
            self.updates.push(serde_json::to_string(&update).unwrap());
        }
        Ok(draft.changes)
    }
}
