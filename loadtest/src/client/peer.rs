use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// The protocol that a client speaks. A room is entered with JOIN on tandem, by the query string on the relay, with an event on Socket.IO,
/// and is a channel on Centrifugo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub(crate) enum Peer {
    // Without documents of the values, which would make `--help` three times as long.
    Tandem,
    Relay,
    SocketIo,
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
