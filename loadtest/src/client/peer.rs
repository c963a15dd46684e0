use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// The protocol that a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub(crate) enum Peer {
    /// Tandem: a room is entered with JOIN.
    Tandem,
    /// The bare relay: the room is in the query string.
    Relay,
    /// Socket.IO: a room is entered with an event.
    SocketIo,
    /// Centrifugo: a room is a channel.
    Centrifugo,
}

impl Peer {
    /// The name to show.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tandem => "tandem",
            Self::Relay => "relay",
            Self::SocketIo => "socket.io",
            Self::Centrifugo => "centrifugo",
        }
    }
}
