use super::SignalKind;
use crate::room::Action;

/// A table of frame types: each has a name here, a word on the wire, and what else is known of every frame of the type.
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
            /// All of them. `as usize` is the place in this list.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// The type with this word, if there is one.
            pub fn parse(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

frame_types! {
    /// What clients send, the most frequent types first. Decoding, metrics and the cost of a frame follow this table.
    ClientFrameType {
        HostHeartbeat = "HOST_HEARTBEAT",
        PositionUpdate = "POSITION_UPDATE",
        Ping = "PING",
        IceCandidate = "ICE_CANDIDATE",
        Offer = "OFFER",
        Answer = "ANSWER",
        Broadcast = "BROADCAST",
        PlayPause = "PLAY_PAUSE",
        Seek = "SEEK",
        Ready = "READY",
        Join = "JOIN",
        Resume = "RESUME",
        Leave = "LEAVE",
        RequestSync = "REQUEST_SYNC",
        UrlChange = "URL_CHANGE",
        UpdateUsername = "UPDATE_USERNAME",
        Renegotiate = "RENEGOTIATE",
        Bye = "BYE",
        PlaybackAck = "PLAYBACK_ACK",
        ToggleGuestControl = "TOGGLE_GUEST_CONTROL",
        TransferHost = "TRANSFER_HOST",
        SetRole = "SET_ROLE",
        Kick = "KICK",
        SyncResponse = "SYNC_RESPONSE",
        SyncPlayback = "SYNC_PLAYBACK",
    }
}

frame_types! {
    /// What the server sends, the most frequent types first.
    ServerFrameType {
        HostHeartbeat = "HOST_HEARTBEAT",
        IceCandidate = "ICE_CANDIDATE",
        Broadcast = "BROADCAST",
        PlayPause = "PLAY_PAUSE",
        SeekPause = "SEEK_PAUSE",
        Pong = "PONG",
        UserJoined = "USER_JOINED",
        UserLeft = "USER_LEFT",
        Offer = "OFFER",
        Answer = "ANSWER",
        Ack = "ACK",
        Error = "ERROR",
        RoomState = "ROOM_STATE",
        Resumed = "RESUMED",
        Discontinuity = "DISCONTINUITY",
        Leave = "LEAVE",
        MemberAway = "MEMBER_AWAY",
        MemberBack = "MEMBER_BACK",
        HostChanged = "HOST_CHANGED",
        RoleChanged = "ROLE_CHANGED",
        GuestControl = "GUEST_CONTROL",
        UsernameUpdated = "USERNAME_UPDATED",
        UrlChange = "URL_CHANGE",
        SyncResponse = "SYNC_RESPONSE",
        PlaybackAck = "PLAYBACK_ACK",
        IceServers = "ICE_SERVERS",
        ServerDraining = "SERVER_DRAINING",
        Renegotiate = "RENEGOTIATE",
        Bye = "BYE",
        // A type that this release does not know, from a node of a later one.
        Other = "other",
    }
}

impl ClientFrameType {
    /// How many messages a frame of this type costs beside those for its bytes. JOIN and RESUME make rooms, and their answers are as
    /// long as the room is large.
    pub const fn extra_cost(self) -> u32 {
        match self {
            Self::Join | Self::Resume => 9,
            Self::HostHeartbeat
            | Self::PositionUpdate
            | Self::Ping
            | Self::IceCandidate
            | Self::Offer
            | Self::Answer
            | Self::Broadcast
            | Self::PlayPause
            | Self::Seek
            | Self::Ready
            | Self::Leave
            | Self::RequestSync
            | Self::UrlChange
            | Self::UpdateUsername
            | Self::Renegotiate
            | Self::Bye
            | Self::PlaybackAck
            | Self::ToggleGuestControl
            | Self::TransferHost
            | Self::SetRole
            | Self::Kick
            | Self::SyncResponse
            | Self::SyncPlayback => 0,
        }
    }

    /// Whether other members mostly get something for it, which is what the relay time is about.
    pub const fn is_relayed(self) -> bool {
        match self {
            Self::PositionUpdate | Self::Ping | Self::RequestSync | Self::SyncResponse | Self::SyncPlayback => false,
            Self::HostHeartbeat
            | Self::IceCandidate
            | Self::Offer
            | Self::Answer
            | Self::Broadcast
            | Self::PlayPause
            | Self::Seek
            | Self::Ready
            | Self::Join
            | Self::Resume
            | Self::Leave
            | Self::UrlChange
            | Self::UpdateUsername
            | Self::Renegotiate
            | Self::Bye
            | Self::PlaybackAck
            | Self::ToggleGuestControl
            | Self::TransferHost
            | Self::SetRole
            | Self::Kick => true,
        }
    }

    /// The frame with which a member asks for `action`.
    pub fn of_action(action: &Action) -> Self {
        match action {
            Action::Leave => Self::Leave,
            Action::Rename { .. } => Self::UpdateUsername,
            Action::PlayPause { .. } => Self::PlayPause,
            Action::Seek { .. } => Self::Seek,
            Action::Ready { .. } => Self::Ready,
            Action::Heartbeat { .. } => Self::HostHeartbeat,
            // Both follow from a position.
            Action::Report { .. } | Action::Watching { .. } => Self::PositionUpdate,
            Action::ChangeUrl { .. } => Self::UrlChange,
            Action::GuestControl { .. } => Self::ToggleGuestControl,
            Action::TransferHost { .. } => Self::TransferHost,
            Action::SetRole { .. } => Self::SetRole,
            Action::Kick { .. } => Self::Kick,
            Action::Broadcast { .. } => Self::Broadcast,
        }
    }
}

impl ServerFrameType {
    /// Whether a frame of this type makes an earlier one unnecessary that still waits in the same outbox.
    pub const fn is_coalescable(self) -> bool {
        matches!(self, Self::HostHeartbeat)
    }
}

impl From<SignalKind> for ServerFrameType {
    fn from(kind: SignalKind) -> Self {
        match kind {
            SignalKind::Offer => Self::Offer,
            SignalKind::Answer => Self::Answer,
            SignalKind::IceCandidate => Self::IceCandidate,
            SignalKind::Renegotiate => Self::Renegotiate,
            SignalKind::Bye => Self::Bye,
            SignalKind::PlaybackAck => Self::PlaybackAck,
        }
    }
}

/// How a frame of a client is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// It was understood.
    Frame(ClientFrameType),
    /// It was understood, and nothing follows from frames of its type.
    Ignored,
    /// It was not understood.
    Invalid,
    /// It was refused unread, or came too late.
    Dropped,
}

/// SYNC_RESPONSE and SYNC_PLAYBACK, the last types of the table, are counted together.
const COUNTED: usize = ClientFrameType::SyncResponse as usize;

impl Received {
    /// All of them.
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

    /// The word in metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Frame(kind) => kind.as_str(),
            Self::Ignored => "ignored",
            Self::Invalid => "invalid",
            Self::Dropped => "dropped",
        }
    }

    /// The place in [`Received::ALL`].
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
    use crate::protocol::decode;

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

    #[test]
    fn each_type_is_understood() {
        let fields = concat!(
            r#""roomId":"r","userId":"u","resumeToken":"t","epoch":1,"version":1,"currentTime":1,"isPlaying":true,"targetTime":1,"#,
            r#""control":"play","url":"https://a.example/","to":"v","offer":{},"answer":{},"candidate":{},"event":"e","#,
            r#""enabled":true,"targetUserId":"v","role":"co-host","username":"n""#
        );
        for kind in ClientFrameType::ALL {
            let text = format!(r#"{{"type":"{}",{fields}}}"#, kind.as_str());
            assert_eq!(decode(&text).map_err(|error| error.message).unwrap().kind, *kind, "{text}");
        }
    }
}
