use super::Code;

/// The reasons for which the server closes a socket. Clients reconnect after codes below 4500.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Close {
    /// The client sent LEAVE.
    Left,
    /// The client kept exceeding its message budget.
    RateLimited,
    /// The client sent neither JOIN nor RESUME in time.
    NeverJoined,
    /// The client did not finish a message in time.
    UnfinishedMessage,
    /// The client's address has more bytes waiting than its share of a memory that is short.
    AddressLimit,
    /// The client sent a frame that is too large to read.
    TooLarge,
    /// The client violated RFC 6455.
    Protocol,
    /// The client sent a text that is not UTF-8.
    NotUtf8,
    /// The node drains.
    Draining,
    /// The outbox of the client is full.
    SlowConsumer,
    /// The client does not answer pings.
    HeartbeatLost,
    /// The seat was released while the node was cut off; the client has to join again.
    SeatLost,
    /// Shared state cannot be reached, and a client of the first generation would not understand an ERROR.
    TryLater,
    /// The client showed a token that is not valid, or none where it needs one.
    InvalidToken,
    /// The token of the client is not for this room, or its page is of an origin that may not connect.
    NotAllowed,
    /// The token of the client was revoked.
    TokenRevoked,
    /// The token of the client has expired, and it showed no new one.
    TokenExpired,
    /// The member was kicked.
    Kicked,
    /// A bug of the server ended the connection.
    Internal,
}

impl Close {
    /// All reasons, for metrics.
    pub const ALL: [Self; 19] = [
        Self::Left,
        Self::RateLimited,
        Self::NeverJoined,
        Self::UnfinishedMessage,
        Self::AddressLimit,
        Self::TooLarge,
        Self::Protocol,
        Self::NotUtf8,
        Self::Draining,
        Self::SlowConsumer,
        Self::HeartbeatLost,
        Self::SeatLost,
        Self::TryLater,
        Self::InvalidToken,
        Self::NotAllowed,
        Self::TokenRevoked,
        Self::TokenExpired,
        Self::Kicked,
        Self::Internal,
    ];

    /// The code in the close frame.
    pub fn code(self) -> u16 {
        match self {
            Self::Left => 1000,
            Self::Protocol => 1002,
            Self::NotUtf8 => 1007,
            Self::NeverJoined | Self::UnfinishedMessage => 1008,
            Self::TooLarge => 1009,
            Self::Internal => 1011,
            Self::Draining | Self::SeatLost => 1012,
            Self::TryLater => 1013,
            Self::SlowConsumer => 4008,
            Self::HeartbeatLost => 4009,
            Self::RateLimited | Self::AddressLimit => 4429,
            Self::InvalidToken | Self::TokenRevoked => 4501,
            Self::TokenExpired => 4502,
            Self::Kicked | Self::NotAllowed => 4503,
        }
    }

    /// The reason in the close frame, and the label of the metric.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::RateLimited => "rate limited",
            Self::NeverJoined => "never joined",
            Self::UnfinishedMessage => "unfinished message",
            Self::AddressLimit => "address limit",
            Self::TooLarge => "too large",
            Self::Protocol => "protocol error",
            Self::NotUtf8 => "not UTF-8",
            Self::Draining => "draining",
            Self::SeatLost => "seat lost",
            Self::TryLater => "try again later",
            Self::SlowConsumer => "slow consumer",
            Self::HeartbeatLost => "heartbeat lost",
            Self::InvalidToken => "invalid token",
            Self::NotAllowed => "not allowed",
            Self::TokenRevoked => "token revoked",
            Self::TokenExpired => "token expired",
            Self::Kicked => "kicked",
            Self::Internal => "internal error",
        }
    }
}

impl Code {
    /// Closes a socket because of an error; no other place does.
    pub fn close(self) -> Option<Close> {
        match self {
            Self::RateLimited => Some(Close::RateLimited),
            _ => None,
        }
    }
}
