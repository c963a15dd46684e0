use super::Code;

/// How the server ends a socket. Clients come back after codes below 4500.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Close {
    /// The client said LEAVE.
    Left,
    /// It went on and on past its message budget.
    Policy,
    /// It sent a frame that is too large to read.
    TooLarge,
    /// It broke the rules of RFC 6455.
    Protocol,
    /// It sent a text that is no UTF-8.
    NotUtf8,
    /// This node is going away.
    Draining,
    /// Its outbox is full.
    SlowConsumer,
    /// It answers no ping.
    HeartbeatLost,
    /// Its seat was given up while its node could not be reached: it has to take one again.
    SeatLost,
    /// Shared state cannot be reached, and a client of the first generation would not understand an ERROR.
    TryLater,
    /// It was thrown out of its room.
    Kicked,
    /// A bug of the server ended the connection.
    Internal,
}

impl Close {
    /// All of them, for whoever counts.
    pub const ALL: [Self; 12] = [
        Self::Left,
        Self::Policy,
        Self::TooLarge,
        Self::Protocol,
        Self::NotUtf8,
        Self::Draining,
        Self::SlowConsumer,
        Self::HeartbeatLost,
        Self::SeatLost,
        Self::TryLater,
        Self::Kicked,
        Self::Internal,
    ];

    /// The number of the close frame.
    pub fn code(self) -> u16 {
        match self {
            Self::Left => 1000,
            Self::Protocol => 1002,
            Self::NotUtf8 => 1007,
            Self::Policy => 1008,
            Self::TooLarge => 1009,
            Self::Internal => 1011,
            Self::Draining | Self::SeatLost => 1012,
            Self::TryLater => 1013,
            Self::SlowConsumer => 4008,
            Self::HeartbeatLost => 4009,
            Self::Kicked => 4503,
        }
    }

    /// The words of the close frame, and the label of the metric.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Policy => "rate limited",
            Self::TooLarge => "too large",
            Self::Protocol => "protocol error",
            Self::NotUtf8 => "not UTF-8",
            Self::Draining => "draining",
            Self::SeatLost => "seat lost",
            Self::TryLater => "try again later",
            Self::SlowConsumer => "slow consumer",
            Self::HeartbeatLost => "heartbeat lost",
            Self::Kicked => "kicked",
            Self::Internal => "internal error",
        }
    }
}

impl Code {
    /// The one place where an error ends a socket.
    pub fn close(self) -> Option<Close> {
        match self {
            Self::RateLimited => Some(Close::Policy),
            _ => None,
        }
    }
}
