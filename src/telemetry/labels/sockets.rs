use crate::telemetry::Label;

/// How a socket that this node did not close ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerDisconnect {
    /// The client sent a close frame.
    Closed,
    /// The connection ended without a close frame.
    Gone,
}

impl Label for PeerDisconnect {
    const KEY: &'static str = "how";
    const ALL: &'static [Self] = &[Self::Closed, Self::Gone];
    fn value(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Gone => "gone",
        }
    }
}

/// Why an upgrade was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The origin is not in `ALLOWED_ORIGINS` (403).
    Origin,
    /// The node is draining (503).
    Draining,
    /// Shared state cannot be reached (503).
    Unavailable,
    /// `MAX_CONNECTIONS` or the limit of open files is reached (503).
    Full,
    /// The node has no CPU time or no memory for more (503).
    Overloaded,
    /// So many clients wait to be let into their rooms that the next would have to wait for too long (503).
    Crowded,
    /// The client's address has its share of what is scarce (429).
    AddressShare,
    /// The client's address has reached a cap (429).
    AddressCap,
    /// The request was not a valid WebSocket handshake (426, 405 or 400).
    Handshake,
    /// The client has no token that lets it in (401 or 403).
    Token,
    /// The URL has an invitation that opens no room.
    Invitation,
}

impl Label for Refused {
    const KEY: &'static str = "reason";
    const ALL: &'static [Self] = &[
        Self::Origin,
        Self::Draining,
        Self::Unavailable,
        Self::Full,
        Self::Overloaded,
        Self::Crowded,
        Self::AddressShare,
        Self::AddressCap,
        Self::Handshake,
        Self::Token,
        Self::Invitation,
    ];
    fn value(self) -> &'static str {
        match self {
            Self::Origin => "origin",
            Self::Draining => "draining",
            Self::Unavailable => "unavailable",
            Self::Full => "full",
            Self::Overloaded => "overloaded",
            Self::Crowded => "crowded",
            Self::AddressShare => "address_share",
            Self::AddressCap => "address_cap",
            Self::Handshake => "handshake",
            Self::Token => "token",
            Self::Invitation => "invitation",
        }
    }
}
