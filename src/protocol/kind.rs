use super::{ClientMessage, Frame};
use crate::room::Action;

/// A closed list of words.
macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($variant:ident = $word:literal,)* }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[allow(missing_docs, reason = "docs/protocol.md has them")]
        pub enum $name { $($variant,)* }

        impl $name {
            /// All of them, for whoever counts; `as usize` is the place in it.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word on the wire; in small letters what is none.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            fn parse(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

words! {
    /// What clients send, by type.
    Received {
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
        Ignored = "ignored",
        Invalid = "invalid",
        Dropped = "dropped",
    }
}

words! {
    /// What the server sends, by type; those that are sent most come first.
    Sent {
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
        Other = "other",
    }
}

impl Received {
    /// What a frame that was understood is.
    pub fn of(message: &ClientMessage) -> Self {
        match message {
            ClientMessage::Join(_) => Self::Join,
            ClientMessage::Resume(_) => Self::Resume,
            ClientMessage::Ping { .. } => Self::Ping,
            ClientMessage::RequestSync { .. } => Self::RequestSync,
            ClientMessage::Position { .. } => Self::PositionUpdate,
            ClientMessage::Signal(signal) => Self::parse(signal.kind).unwrap_or(Self::Invalid),
            ClientMessage::Whisper(_) => Self::Broadcast,
            ClientMessage::Act(action) => Self::of_action(action),
            ClientMessage::Ignored => Self::Ignored,
        }
    }

    /// What a member asked for.
    pub fn of_action(action: &Action) -> Self {
        match action {
            Action::Leave => Self::Leave,
            Action::Rename { .. } => Self::UpdateUsername,
            Action::PlayPause { .. } => Self::PlayPause,
            Action::Seek { .. } => Self::Seek,
            Action::Ready { .. } => Self::Ready,
            Action::Heartbeat { .. } => Self::HostHeartbeat,
            // Nobody asks for these by name: both follow from a position.
            Action::Report { .. } | Action::Watching { .. } => Self::PositionUpdate,
            Action::ChangeUrl { .. } => Self::UrlChange,
            Action::GuestControl { .. } => Self::ToggleGuestControl,
            Action::TransferHost { .. } => Self::TransferHost,
            Action::SetRole { .. } => Self::SetRole,
            Action::Kick { .. } => Self::Kick,
            Action::Broadcast { .. } => Self::Broadcast,
        }
    }

    /// Whether something follows for others, as a rule.
    pub fn is_relayed(self) -> bool {
        !matches!(
            self,
            Self::PositionUpdate | Self::Ping | Self::RequestSync | Self::Ignored | Self::Invalid | Self::Dropped
        )
    }
}

impl Sent {
    /// What a frame is. Every one begins with its type, also those of other nodes.
    pub fn of(frame: &Frame) -> Self {
        const BEGINNING: usize = r#"{"type":""#.len();
        let word = frame.get(BEGINNING..).and_then(|rest| rest.split_once('"'));
        word.and_then(|(word, _)| Self::parse(word)).unwrap_or(Self::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::decode;

    #[test]
    fn places_are_those_of_the_list() {
        assert!(Received::ALL.iter().enumerate().all(|(place, it)| *it as usize == place));
        assert!(Sent::ALL.iter().enumerate().all(|(place, it)| *it as usize == place));
    }

    #[test]
    fn types_are_found_where_they_are_written() {
        for (text, kind) in [
            (r#"{"type":"PONG","timestamp":1}"#, Sent::Pong),
            (r#"{"type":"ICE_CANDIDATE","from":"a"}"#, Sent::IceCandidate),
            (r#"{"type":"NEWS"}"#, Sent::Other),
            (r#"{"type":"PONG"#, Sent::Other),
            ("{}", Sent::Other),
        ] {
            assert_eq!(Sent::of(&text.into()), kind, "{text}");
        }
    }

    /// All words but those for what is no frame.
    #[test]
    fn what_is_understood_has_the_word_that_it_came_with() {
        let fields = concat!(
            r#""roomId":"r","userId":"u","resumeToken":"t","epoch":1,"version":1,"currentTime":1,"isPlaying":true,"targetTime":1,"#,
            r#""control":"play","url":"https://a.example/","to":"v","offer":{},"answer":{},"candidate":{},"event":"e","#,
            r#""enabled":true,"targetUserId":"v","role":"co-host","username":"n""#
        );
        for kind in Received::ALL.iter().filter(|kind| kind.as_str().starts_with(char::is_uppercase)) {
            let fields = if *kind == Received::Broadcast { r#""event":"e""# } else { fields };
            let text = format!(r#"{{"type":"{}",{fields}}}"#, kind.as_str());
            let message = decode(&text).map_err(|error| error.message).unwrap().message;
            assert_eq!(Received::of(&message), *kind, "{text}");
        }
    }
}
