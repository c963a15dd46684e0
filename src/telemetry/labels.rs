//! What is counted apart. Every list is closed: nothing that a client sends becomes a label.

use super::tally::Label;
use crate::protocol::{Close, Code, Received, ServerFrameType};

impl Label for Received {
    const KEY: &'static str = "type";
    const ALL: &'static [Self] = &Received::ALL;
    fn value(self) -> &'static str {
        self.as_str()
    }
    fn place(self) -> usize {
        Received::place(self)
    }
}

impl Label for ServerFrameType {
    const KEY: &'static str = "type";
    const ALL: &'static [Self] = ServerFrameType::ALL;
    fn value(self) -> &'static str {
        self.as_str()
    }
    fn place(self) -> usize {
        self as usize
    }
}

impl Label for Code {
    const KEY: &'static str = "code";
    const ALL: &'static [Self] = &Code::ALL;
    fn value(self) -> &'static str {
        self.as_str()
    }
}

/// By this node.
impl Label for Close {
    const KEY: &'static str = "reason";
    const ALL: &'static [Self] = &Close::ALL;
    fn value(self) -> &'static str {
        self.reason()
    }
}

/// How a socket ended that this node did not close.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parting {
    /// Its client closed it.
    Closed,
    /// The connection ended without a word.
    Gone,
}

impl Label for Parting {
    const KEY: &'static str = "how";
    const ALL: &'static [Self] = &[Self::Closed, Self::Gone];
    fn value(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Gone => "gone",
        }
    }
}

/// Why a socket was not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Its page may not connect (403).
    Origin,
    /// The node is being stopped (503, as the rest).
    Draining,
    /// Shared state cannot be reached.
    Unavailable,
    /// There are `MAX_CONNECTIONS`, or as many as the system allows.
    Full,
    /// It was no right handshake (426, 405 or 400).
    Handshake,
}

impl Label for Refused {
    const KEY: &'static str = "reason";
    const ALL: &'static [Self] = &[Self::Origin, Self::Draining, Self::Unavailable, Self::Full, Self::Handshake];
    fn value(self) -> &'static str {
        match self {
            Self::Origin => "origin",
            Self::Draining => "draining",
            Self::Unavailable => "unavailable",
            Self::Full => "full",
            Self::Handshake => "handshake",
        }
    }
}

/// What became of a RESUME.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resumed {
    /// What was missed was told.
    Replayed,
    /// DISCONTINUITY, and the whole room.
    Snapshot,
    /// The seat was not given.
    Refused,
}

impl Label for Resumed {
    const KEY: &'static str = "outcome";
    const ALL: &'static [Self] = &[Self::Replayed, Self::Snapshot, Self::Refused];
    fn value(self) -> &'static str {
        match self {
            Self::Replayed => "replayed",
            Self::Snapshot => "snapshot",
            Self::Refused => "refused",
        }
    }
}

/// What came of asking the socket that holds a seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeatCheck {
    /// It lives: the seat stays its own.
    Answers,
    /// It does not: the seat passes.
    Silent,
    /// Its node did not say.
    Unknown,
}

impl Label for SeatCheck {
    const KEY: &'static str = "outcome";
    const ALL: &'static [Self] = &[Self::Answers, Self::Silent, Self::Unknown];
    fn value(self) -> &'static str {
        match self {
            Self::Answers => "answers",
            Self::Silent => "silent",
            Self::Unknown => "unknown",
        }
    }
}

/// What became of a room whose updates may have been missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gap {
    /// An update came that does not follow the one before it.
    Noticed,
    /// What was missed was found, and told.
    Replayed,
    /// What was missed is gone: members got a DISCONTINUITY and the whole room.
    Snapshot,
    /// Shared state had lost the room, and got it back from this node.
    Restored,
}

impl Label for Gap {
    const KEY: &'static str = "outcome";
    const ALL: &'static [Self] = &[Self::Noticed, Self::Replayed, Self::Snapshot, Self::Restored];
    fn value(self) -> &'static str {
        match self {
            Self::Noticed => "noticed",
            Self::Replayed => "replayed",
            Self::Snapshot => "snapshot",
            Self::Restored => "restored",
        }
    }
}

/// Why shared state could not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "those that are not explained are the words that Redis begins its refusals with")]
pub enum Cause {
    Busy,
    ClusterDown,
    /// Others change a room faster than this node can follow.
    Contended,
    /// What is there cannot be read.
    Corrupt,
    /// Too many entries wait for a worker.
    LedgerFull,
    Loading,
    MasterDown,
    Misconf,
    NoAuth,
    NoPerm,
    NoReplicas,
    Oom,
    ReadOnly,
    /// Redis refuses for another reason.
    Refused,
    /// This node holds as many rooms as it may.
    RoomLimit,
    Timeout,
    /// A change cannot be written.
    Unencodable,
    Unreachable,
    WrongPass,
}

impl Cause {
    /// Of a refusal that begins with this word.
    pub fn of_refusal(code: &str) -> Self {
        match code {
            "BUSY" => Self::Busy,
            "CLUSTERDOWN" => Self::ClusterDown,
            "LOADING" => Self::Loading,
            "MASTERDOWN" => Self::MasterDown,
            "MISCONF" => Self::Misconf,
            "NOAUTH" => Self::NoAuth,
            "NOPERM" => Self::NoPerm,
            "NOREPLICAS" => Self::NoReplicas,
            "OOM" => Self::Oom,
            "READONLY" => Self::ReadOnly,
            "WRONGPASS" => Self::WrongPass,
            _ => Self::Refused,
        }
    }
}

impl Label for Cause {
    const KEY: &'static str = "cause";
    const ALL: &'static [Self] = &[
        Self::Busy,
        Self::ClusterDown,
        Self::Contended,
        Self::Corrupt,
        Self::LedgerFull,
        Self::Loading,
        Self::MasterDown,
        Self::Misconf,
        Self::NoAuth,
        Self::NoPerm,
        Self::NoReplicas,
        Self::Oom,
        Self::ReadOnly,
        Self::Refused,
        Self::RoomLimit,
        Self::Timeout,
        Self::Unencodable,
        Self::Unreachable,
        Self::WrongPass,
    ];
    fn value(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::ClusterDown => "clusterdown",
            Self::Contended => "contended",
            Self::Corrupt => "corrupt",
            Self::LedgerFull => "ledger_full",
            Self::Loading => "loading",
            Self::MasterDown => "masterdown",
            Self::Misconf => "misconf",
            Self::NoAuth => "noauth",
            Self::NoPerm => "noperm",
            Self::NoReplicas => "noreplicas",
            Self::Oom => "oom",
            Self::ReadOnly => "readonly",
            Self::Refused => "refused",
            Self::RoomLimit => "room_limit",
            Self::Timeout => "timeout",
            Self::Unencodable => "unencodable",
            Self::Unreachable => "unreachable",
            Self::WrongPass => "wrongpass",
        }
    }
}

/// Why a signal does not reach its member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// More were sent to a member that is away than are kept: the oldest go, and it is told when it comes back.
    InboxFull,
    /// More were kept than its outbox has room for: the oldest go, and it is told.
    OutboxFull,
    /// More came while it was being told what it had missed: it is told that it has missed something.
    Held,
    /// Too many are on this node for members that are elsewhere.
    TooManyStrays,
    /// Its member has left meanwhile.
    Nobody,
    /// It could not be sent on to where its member is.
    Unsent,
}

impl Label for Dropped {
    const KEY: &'static str = "why";
    const ALL: &'static [Self] =
        &[Self::InboxFull, Self::OutboxFull, Self::Held, Self::TooManyStrays, Self::Nobody, Self::Unsent];
    fn value(self) -> &'static str {
        match self {
            Self::InboxFull => "inbox_full",
            Self::OutboxFull => "outbox_full",
            Self::Held => "held",
            Self::TooManyStrays => "too_many_strays",
            Self::Nobody => "nobody",
            Self::Unsent => "unsent",
        }
    }
}

/// What became of an event on its way into the ledger of a single node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Journaled {
    Written,
    Lost,
    /// A batch, not an event.
    Retries,
}

impl Label for Journaled {
    const KEY: &'static str = "outcome";
    const ALL: &'static [Self] = &[Self::Written, Self::Lost, Self::Retries];
    fn value(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::Lost => "lost",
            Self::Retries => "retries",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<L: Label + std::fmt::Debug>() {
        let mut values: Vec<_> = L::ALL.iter().map(|label| label.value()).collect();
        values.sort_unstable();
        values.dedup();
        assert_eq!(values.len(), L::ALL.len(), "{values:?}");
        assert!(L::ALL.iter().enumerate().all(|(place, label)| label.place() == place), "{:?}", L::ALL);
    }

    #[test]
    fn each_value_has_a_counter_of_its_own() {
        check::<Received>();
        check::<ServerFrameType>();
        check::<Code>();
        check::<Close>();
        check::<Parting>();
        check::<Refused>();
        check::<Resumed>();
        check::<SeatCheck>();
        check::<Gap>();
        check::<Cause>();
        check::<Dropped>();
        check::<Journaled>();
    }
}

/// Whose clock a node's own is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Against {
    /// That of the machine.
    System,
    /// That of Redis, by which the nodes of a cluster go.
    Redis,
}

impl Against {
    /// The word in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Redis => "redis",
        }
    }
}
