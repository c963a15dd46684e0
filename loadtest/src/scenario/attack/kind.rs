use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// What a harmless client does, over and over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plain {
    /// Open a WebSocket and leave.
    Visit,
    /// Open a WebSocket and stay.
    Stay,
    /// Open a connection, ask for `/health`, and stay.
    Call,
    /// Ask for a path, and read the answer.
    Ask(&'static str),
    /// JOIN the room in which it is.
    Join,
    /// BROADCAST a text of so many bytes, alone in a room.
    Say(usize),
    /// BROADCAST a text of so many bytes to a room of a hundred.
    Chat(usize),
}

/// What an attacker does, from one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub(crate) enum Kind {
    /// Open WebSockets and leave at once
    Connects,
    /// Open WebSockets and say nothing
    Silent,
    /// Open connections and say nothing
    HalfOpen,
    /// Ask for a page over and over and never read
    Unread,
    /// Ask for the metrics
    Metrics,
    /// Guess codes of rooms
    Codes,
    /// Make rooms
    Rooms,
    /// Broadcast in a room of its own, with a hundred sockets
    Shouts,
    /// Send messages of 64 KB that are nothing but brackets
    Shapes,
    /// Send one message in parts without end
    Parts,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Connects => "connects",
            Self::Silent => "silent",
            Self::HalfOpen => "half_open",
            Self::Unread => "unread",
            Self::Metrics => "metrics",
            Self::Codes => "codes",
            Self::Rooms => "rooms",
            Self::Shouts => "shouts",
            Self::Shapes => "shapes",
            Self::Parts => "parts",
        }
    }

    /// What a harmless client does in place of this, as often as it is granted to the attacker.
    pub(super) fn plain(self) -> Plain {
        match self {
            Self::Connects => Plain::Visit,
            Self::Silent => Plain::Stay,
            Self::HalfOpen => Plain::Call,
            Self::Unread => Plain::Ask("/assets/app.js"),
            Self::Metrics | Self::Codes => Plain::Ask("/health"),
            Self::Rooms => Plain::Join,
            // The same number of receivers: their copies are most of what a message costs.
            Self::Shouts => Plain::Chat(100),
            Self::Shapes => Plain::Say(63_000),
            Self::Parts => Plain::Say(6_000),
        }
    }

    /// Tasks of the attacker, each with a connection at a time.
    pub(super) fn tasks(self) -> u32 {
        match self {
            Self::Connects | Self::Silent | Self::HalfOpen | Self::Metrics | Self::Codes | Self::Rooms => 8,
            Self::Unread => 64,
            Self::Shouts => 100,
            Self::Shapes => 10,
            Self::Parts => 4,
        }
    }
}
