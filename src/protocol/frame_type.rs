use super::{ClientFrameType, announce::with_announcements};

/// A table of frame types: for each its name in the code, its name in frames, and its properties.
macro_rules! frame_types {
    (
        $(#[$about:meta])*
        $name:ident { $($variant:ident = $word:literal,)* }
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[allow(missing_docs, reason = "docs/protocol.md has them")]
        pub enum $name { $($variant,)* }

        impl $name {
            /// All types. `as usize` is the index in this list.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name in frames.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// The type with this name, if there is one.
            pub fn parse(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

pub(super) use frame_types;

/// The types of all frames of the server: those that announce a change, and these.
macro_rules! server_frame_types {
    ($($announcements:tt)*) => {
        frame_types! {
            /// The types of server frames.
            ServerFrameType {
                $($announcements)*
                IceCandidate = "ICE_CANDIDATE",
                Pong = "PONG",
                Offer = "OFFER",
                Answer = "ANSWER",
                Ack = "ACK",
                Error = "ERROR",
                RoomState = "ROOM_STATE",
                Resumed = "RESUMED",
                Discontinuity = "DISCONTINUITY",
                Leave = "LEAVE",
                SyncResponse = "SYNC_RESPONSE",
                Bans = "BANS",
                PlaybackAck = "PLAYBACK_ACK",
                IceServers = "ICE_SERVERS",
                TokenExpiring = "TOKEN_EXPIRING",
                ServerDraining = "SERVER_DRAINING",
                Renegotiate = "RENEGOTIATE",
                Bye = "BYE",
                // A type of a later release, which this one does not know.
                Other = "other",
            }
        }
    };
}

with_announcements!(server_frame_types);

impl ServerFrameType {
    /// Whether a frame of this type replaces an earlier one that still waits in the same outbox.
    pub const fn is_coalescable(self) -> bool {
        matches!(self, Self::HostHeartbeat)
    }
}

/// The label of a received frame in metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// The frame was decoded.
    Frame(ClientFrameType),
    /// The frame was decoded, and its type has no effect.
    Ignored,
    /// The frame could not be decoded.
    Invalid,
    /// The frame was beyond the budget, or arrived too late.
    Dropped,
}

/// SYNC_RESPONSE and SYNC_PLAYBACK, the last types of the table, are counted together.
const COUNTED: usize = ClientFrameType::SyncResponse as usize;

impl Received {
    /// All labels.
    #[allow(clippy::indexing_slicing, reason = "evaluated by the compiler")]
    pub const ALL: [Self; COUNTED + 3] = {
        let mut all = [Self::Ignored; COUNTED + 3];
        let mut place = 0;
        while place < COUNTED {
            all[place] = Self::Frame(ClientFrameType::ALL[place]);
            place += 1;
        }
        all[COUNTED + 1] = Self::Invalid;
        all[COUNTED + 2] = Self::Dropped;
        all
    };

    /// The value in metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Frame(kind) => kind.as_str(),
            Self::Ignored => "ignored",
            Self::Invalid => "invalid",
            Self::Dropped => "dropped",
        }
    }

    /// The index in [`Received::ALL`].
    pub const fn place(self) -> usize {
        match self {
            Self::Frame(kind) => kind as usize,
            Self::Ignored => COUNTED,
            Self::Invalid => COUNTED + 1,
            Self::Dropped => COUNTED + 2,
        }
    }
}

impl From<ClientFrameType> for Received {
    fn from(kind: ClientFrameType) -> Self {
        match kind {
            ClientFrameType::SyncResponse | ClientFrameType::SyncPlayback => Self::Ignored,
            kind => Self::Frame(kind),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_those_of_the_list() {
        assert!(ClientFrameType::ALL.iter().enumerate().all(|(place, it)| *it as usize == place));
        assert!(ServerFrameType::ALL.iter().enumerate().all(|(place, it)| *it as usize == place));
        assert!(Received::ALL.iter().enumerate().all(|(place, it)| it.place() == place));
    }

    #[test]
    fn each_type_is_counted() {
        for kind in ClientFrameType::ALL {
            let received = Received::from(*kind);
            assert_eq!(Received::ALL.get(received.place()), Some(&received), "{kind:?}");
        }
    }
}
