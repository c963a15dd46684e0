use crate::telemetry::Label;

/// Why shared state could not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the undocumented ones are error codes of Redis")]
pub enum Cause {
    Busy,
    ClusterDown,
    /// Other nodes change the room faster than this node can commit.
    Contended,
    /// The record of a room cannot be decoded.
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
    /// Redis answered with another error.
    Refused,
    /// The limit of rooms is reached.
    RoomLimit,
    Timeout,
    /// A change cannot be encoded.
    Unencodable,
    Unreachable,
    WrongPass,
}

impl Cause {
    /// The cause for the error code of an answer of Redis.
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
