//! The plan of a story. It is drawn from a seed, and then is plain data that can be made smaller.

use crate::chance::Dice;

/// The frames of a client, apart from those with which it comes and goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Word {
    Ping,
    PlayPause,
    Seek,
    Ready,
    Position,
    Heartbeat,
    Url,
    Sync,
    Name,
    Broadcast,
    Whisper,
    Offer,
    Answer,
    Candidate,
    Renegotiate,
    Bye,
    PlaybackAck,
    GuestControl,
    TransferHost,
    SetRole,
    Kick,
    /// A frame that servers of the first generation relayed, and that has no effect any more.
    SyncResponse,
    SyncPlayback,
    SetPin,
    LockRoom,
    Ban,
    Unban,
    ListBans,
}

/// A frame is drawn as often as it is listed here. A kicked client does not come back, so KICK is rare.
const WORDS: &[Word] = &[
    Word::Ping,
    Word::PlayPause,
    Word::PlayPause,
    Word::Seek,
    Word::Seek,
    Word::Ready,
    Word::Ready,
    Word::Position,
    Word::Position,
    Word::Position,
    Word::Heartbeat,
    Word::Heartbeat,
    Word::Url,
    Word::Sync,
    Word::Name,
    Word::Name,
    Word::Broadcast,
    Word::Broadcast,
    Word::Broadcast,
    Word::Broadcast,
    Word::Broadcast,
    Word::Broadcast,
    Word::Whisper,
    Word::Offer,
    Word::Offer,
    Word::Offer,
    Word::Answer,
    Word::Answer,
    Word::Candidate,
    Word::Candidate,
    Word::Renegotiate,
    Word::Bye,
    Word::PlaybackAck,
    Word::GuestControl,
    Word::TransferHost,
    Word::SetRole,
    Word::SyncResponse,
    Word::SyncPlayback,
];

/// What decides who may come in. Only moderated stories have it: what shuts clients out makes a room quiet.
const MODERATION: [Word; 5] = [Word::SetPin, Word::LockRoom, Word::Ban, Word::Unban, Word::ListBans];
/// How often each of these is said in a moderated story. Of those that only the host may say, one in six has an effect.
const MODERATED: usize = 12;

/// A fault. Times are in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A node cannot reach the store.
    Cut { node: usize, during: u64 },
    /// A node gets answers, but no messages.
    Deaf { node: usize },
    /// Everything between a node and the store is slow, and some of it too slow.
    Slow { node: usize, during: u64 },
    /// A node dies. Another process of its name starts, unless the node is dead [`FOR_GOOD`].
    Kill { node: usize, during: u64 },
    /// A node stands still.
    Pause { node: usize, during: u64 },
    /// The store is away.
    Away { during: u64 },
    /// The store goes on from what it was some time ago.
    FallBack { back: u64 },
    /// The store has lost everything.
    LoseAll,
    /// The ledger is away.
    Ledger { during: u64 },
    /// The worker dies, and another one starts.
    Worker { during: u64 },
}

impl Fault {
    pub const NAMES: [&str; 10] =
        ["cut", "deaf", "slow", "kill", "pause", "away", "fall back", "lose all", "ledger", "worker"];

    pub fn name(self) -> &'static str {
        match self {
            Self::Cut { .. } => "cut",
            Self::Deaf { .. } => "deaf",
            Self::Slow { .. } => "slow",
            Self::Kill { .. } => "kill",
            Self::Pause { .. } => "pause",
            Self::Away { .. } => "away",
            Self::FallBack { .. } => "fall back",
            Self::LoseAll => "lose all",
            Self::Ledger { .. } => "ledger",
            Self::Worker { .. } => "worker",
        }
    }

    /// Roughly how long the fault lasts.
    pub fn during(self) -> u64 {
        match self {
            Self::Cut { during, .. }
            | Self::Slow { during, .. }
            | Self::Kill { during, .. }
            | Self::Pause { during, .. }
            | Self::Ledger { during }
            | Self::Worker { during }
            | Self::Away { during } => during,
            Self::Deaf { .. } => 1_500,
            Self::FallBack { .. } | Self::LoseAll => 2_000,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    Say(usize, Word),
    Drop(usize),
    Vanish(usize),
    /// The client opens another socket while the old one is open.
    Overlap(usize),
    /// The client opens another socket, and sends a wrong PIN on it.
    Guess(usize),
    /// The client sends more frames at once than a socket may.
    Flood(usize),
    Leave(usize),
    /// The client vanishes, and never comes back.
    Quit(usize),
    Fault(Fault),
}

impl Act {
    /// The client that is to do it; none if it is a fault.
    pub fn client(self) -> Option<usize> {
        match self {
            Self::Say(client, _)
            | Self::Drop(client)
            | Self::Vanish(client)
            | Self::Overlap(client)
            | Self::Guess(client)
            | Self::Flood(client)
            | Self::Leave(client)
            | Self::Quit(client) => Some(client),
            Self::Fault(_) => None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    pub at: u64,
    pub act: Act,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub seed: u64,
    /// By how many milliseconds the clock of each node is ahead.
    pub nodes: Vec<i64>,
    /// Whether each client is of the present generation.
    pub clients: Vec<bool>,
    /// Whether the room has a PIN.
    pub pin: bool,
    /// Whether there are words about who may come in, and clients that are shut out try again.
    pub moderated: bool,
    pub steps: Vec<Step>,
    /// The clients that take part. These become fewer when a story is made smaller.
    pub present: Vec<usize>,
}

/// How long clients are busy, in milliseconds.
pub const BUSY: u64 = 45_000;
/// A node that is dead for so long stays dead.
pub const FOR_GOOD: u64 = 1_000_000;
/// In every so many stories clients quit and a dead node stays dead. In the others everybody comes back, which hides seats that nobody gives
/// up and elections that are not held.
const PARTING: u64 = 16;
/// In every so many stories there is moderation. None of them is on record from before there was any.
const MODERATING: u64 = 14;

impl Plan {
    pub fn draw(seed: u64) -> Self {
        let mut dice = Dice::new(seed).branch(1);
        let nodes = (0..3).map(|_| i64::try_from(dice.between(0, 6_000)).unwrap_or_default() - 3_000).collect();
        let clients: Vec<_> = (0..6).map(|_| dice.percent(65)).collect();
        let mut steps = Vec::new();
        for _ in 0..200 {
            let client = dice.index(clients.len());
            let act = if dice.percent(6) {
                match dice.between(0, 15) {
                    0..=5 => Act::Drop(client),
                    6..=8 => Act::Vanish(client),
                    9..=11 => Act::Overlap(client),
                    12 => Act::Guess(client),
                    13 => Act::Flood(client),
                    14 => Act::Leave(client),
                    _ => Act::Say(client, Word::Kick),
                }
            } else {
                Act::Say(client, *dice.pick(WORDS))
            };
            steps.push(Step { at: dice.between(2_000, BUSY), act });
        }
        for _ in 0..dice.between(3, 6) {
            let fault = Self::fault(&mut dice);
            steps.push(Step { at: dice.between(4_000, BUSY - 10_000), act: Act::Fault(fault) });
        }
        steps.sort_by_key(|step| step.at);
        let present = (0..clients.len()).collect();
        let pin = dice.percent(40);
        let moderated = seed % MODERATING == 10;
        let mut plan = Self { seed, nodes, clients, pin, moderated, steps, present };
        if moderated {
            plan.moderate(&mut Dice::new(seed).branch(4));
        }
        if seed % PARTING == 4 {
            plan.part(&mut Dice::new(seed).branch(3));
        }
        plan
    }

    fn moderate(&mut self, dice: &mut Dice) {
        for word in MODERATION.repeat(MODERATED) {
            let client = dice.index(self.clients.len());
            self.steps.push(Step { at: dice.between(3_000, BUSY), act: Act::Say(client, word) });
        }
        self.steps.sort_by_key(|step| step.at);
    }

    /// Two clients quit while something goes wrong, and the first node that dies stays dead.
    fn part(&mut self, dice: &mut Dice) {
        let faults: Vec<_> = self.faults().collect();
        for _ in 0..2 {
            let (client, (began, fault)) = (dice.index(self.clients.len()), *dice.pick(&faults));
            let at = (began + dice.between(0, fault.during())).min(BUSY);
            let of_client = self.steps.iter_mut().filter(|step| step.act.client() == Some(client));
            if let Some(last) = of_client.min_by_key(|step| step.at.abs_diff(at)) {
                *last = Step { at, act: Act::Quit(client) };
            }
        }
        let mut deaths = self.steps.iter_mut().filter_map(|step| match &mut step.act {
            Act::Fault(Fault::Kill { during, .. }) => Some(during),
            _ => None,
        });
        if let Some(during) = deaths.next() {
            *during = FOR_GOOD;
        }
        self.steps.sort_by_key(|step| step.at);
    }

    /// Whether a node that is dead at the end stays so.
    pub fn dies_for_good(&self, node: usize) -> bool {
        self.faults().any(|(_, fault)| fault == Fault::Kill { node, during: FOR_GOOD })
    }

    fn fault(dice: &mut Dice) -> Fault {
        let node = dice.index(3);
        match dice.between(0, 18) {
            0..=2 => Fault::Cut { node, during: dice.between(50, 14_000) },
            3..=4 => Fault::Deaf { node },
            5..=6 => Fault::Slow { node, during: dice.between(500, 8_000) },
            7..=9 => Fault::Kill { node, during: dice.between(100, 25_000) },
            10..=11 => Fault::Pause { node, during: dice.between(500, 25_000) },
            12 => Fault::Away { during: dice.between(100, 8_000) },
            13..=14 => Fault::FallBack { back: dice.between(5, 1_000) },
            15 => Fault::LoseAll,
            16..=17 => Fault::Ledger { during: dice.between(500, 20_000) },
            _ => Fault::Worker { during: dice.between(100, 10_000) },
        }
    }

    pub fn faults(&self) -> impl Iterator<Item = (u64, Fault)> {
        self.steps
            .iter()
            .filter_map(|step| if let Act::Fault(fault) = step.act { Some((step.at, fault)) } else { None })
    }
}
