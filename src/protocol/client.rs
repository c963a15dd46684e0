//! The frames of clients: their types, their fields, and the actions that they request.

use serde::Deserialize;

use super::{
    ClientMessage, Confidential, DirectMessage, Hello, MemberMessage, Signal, SignalKind, check, decode::read,
    frame_type::frame_types,
};
use crate::{
    id::UserId,
    room::{Action, Json, Role, UrlTime},
};

/// The table of types: how many messages a frame costs besides those for its bytes, and whether it is usually relayed to other members,
/// which the relay time is about.
macro_rules! client_frame_types {
    ($($variant:ident = $word:literal, costs $cost:literal, relayed $relayed:literal;)*) => {
        frame_types! {
            /// The types of client frames. Decoding, metrics and the cost of a frame follow this table.
            ClientFrameType { $($variant = $word,)* }
        }

        impl ClientFrameType {
            /// How many messages a frame of this type costs besides those for its bytes.
            pub const fn extra_cost(self) -> u32 {
                match self { $(Self::$variant => $cost,)* }
            }

            /// Whether it is usually relayed to other members.
            pub const fn is_relayed(self) -> bool {
                match self { $(Self::$variant => $relayed,)* }
            }
        }
    };
}

// The most frequent types first. JOIN and RESUME cost more because they create rooms, and because their answers grow with the room, as that of
// LIST_BANS does; a signature takes time to verify.
client_frame_types! {
    HostHeartbeat = "HOST_HEARTBEAT", costs 0, relayed true;
    PositionUpdate = "POSITION_UPDATE", costs 0, relayed false;
    Ping = "PING", costs 0, relayed false;
    IceCandidate = "ICE_CANDIDATE", costs 0, relayed true;
    Offer = "OFFER", costs 0, relayed true;
    Answer = "ANSWER", costs 0, relayed true;
    Broadcast = "BROADCAST", costs 0, relayed true;
    PlayPause = "PLAY_PAUSE", costs 0, relayed true;
    Seek = "SEEK", costs 0, relayed true;
    Ready = "READY", costs 0, relayed true;
    Join = "JOIN", costs 9, relayed true;
    Resume = "RESUME", costs 9, relayed true;
    Leave = "LEAVE", costs 0, relayed true;
    RequestSync = "REQUEST_SYNC", costs 0, relayed false;
    UrlChange = "URL_CHANGE", costs 0, relayed true;
    UpdateUsername = "UPDATE_USERNAME", costs 0, relayed true;
    Renegotiate = "RENEGOTIATE", costs 0, relayed true;
    Bye = "BYE", costs 0, relayed true;
    PlaybackAck = "PLAYBACK_ACK", costs 0, relayed true;
    ToggleGuestControl = "TOGGLE_GUEST_CONTROL", costs 0, relayed true;
    TransferHost = "TRANSFER_HOST", costs 0, relayed true;
    SetRole = "SET_ROLE", costs 0, relayed true;
    Kick = "KICK", costs 0, relayed true;
    SetPin = "SET_PIN", costs 0, relayed true;
    LockRoom = "LOCK_ROOM", costs 0, relayed true;
    Ban = "BAN", costs 0, relayed true;
    Unban = "UNBAN", costs 0, relayed false;
    ListBans = "LIST_BANS", costs 9, relayed false;
    RefreshToken = "REFRESH_TOKEN", costs 4, relayed false;
    SyncResponse = "SYNC_RESPONSE", costs 0, relayed false;
    SyncPlayback = "SYNC_PLAYBACK", costs 0, relayed false;
}

impl ClientFrameType {
    /// The frame with which a member asks for `action`.
    pub fn of_action(action: &Action) -> Self {
        match action {
            Action::Leave => Self::Leave,
            Action::Rename { .. } => Self::UpdateUsername,
            Action::PlayPause { .. } => Self::PlayPause,
            Action::Seek { .. } => Self::Seek,
            Action::Ready { .. } => Self::Ready,
            Action::Heartbeat { .. } => Self::HostHeartbeat,
            // Both actions follow from position reports.
            Action::Report { .. } | Action::Watching { .. } => Self::PositionUpdate,
            Action::ChangeUrl { .. } => Self::UrlChange,
            Action::GuestControl { .. } => Self::ToggleGuestControl,
            Action::TransferHost { .. } => Self::TransferHost,
            Action::SetRole { .. } => Self::SetRole,
            Action::Kick { .. } => Self::Kick,
            Action::SetPin { .. } => Self::SetPin,
            Action::LockRoom { .. } => Self::LockRoom,
            Action::Ban { .. } => Self::Ban,
            Action::Unban { .. } => Self::Unban,
            Action::Broadcast { .. } => Self::Broadcast,
            Action::Regrant { .. } => Self::RefreshToken,
        }
    }
}

#[allow(clippy::too_many_lines, reason = "one arm a type: the table of docs/protocol.md")]
pub(super) fn message(kind: ClientFrameType, text: &str) -> Result<ClientMessage, String> {
    let hello = |hello| Ok(ClientMessage::Hello(hello));
    let member = |message| Ok(ClientMessage::Member(message));
    let act = |action| member(MemberMessage::Act(action));
    match kind {
        ClientFrameType::Join => hello(Hello::Join(read(text)?)),
        ClientFrameType::Resume => hello(Hello::Resume(read(text)?)),
        ClientFrameType::Ping => {
            let frame: Ping = read(text)?;
            Ok(ClientMessage::Ping { t0: frame.t0 })
        }
        ClientFrameType::Leave => act(Action::Leave),
        ClientFrameType::UpdateUsername => {
            let frame: Username = read(text)?;
            frame.username.map_or(member(MemberMessage::Ignored), |username| act(Action::Rename { username }))
        }
        ClientFrameType::PlayPause => {
            let frame: PlayPause = read(text)?;
            let playing = matches!(frame.control, Control::Play);
            act(Action::PlayPause {
                playing,
                position: frame.current_time,
                event: frame.event_timestamp,
                rate: frame.rate,
            })
        }
        ClientFrameType::Seek => {
            let frame: Playback = read(text)?;
            act(Action::Seek { position: frame.current_time, playing: frame.is_playing, event: frame.event_timestamp })
        }
        ClientFrameType::Ready => {
            let frame: Ready = read(text)?;
            act(Action::Ready { target: frame.target_time })
        }
        ClientFrameType::PositionUpdate => {
            let frame: Playback = read(text)?;
            member(MemberMessage::Position { position: frame.current_time, playing: frame.is_playing })
        }
        ClientFrameType::HostHeartbeat => {
            let frame: Playback = read(text)?;
            act(Action::Heartbeat {
                position: frame.current_time,
                playing: frame.is_playing,
                event: frame.event_timestamp,
            })
        }
        ClientFrameType::UrlChange => {
            let frame: UrlChange = read(text)?;
            act(Action::ChangeUrl { url: frame.url, time: frame.current_time.map(UrlTime::Seconds) })
        }
        ClientFrameType::RequestSync => {
            let frame: RequestSync = read(text)?;
            member(MemberMessage::RequestSync { respect_auto_play: frame.respect_auto_play.unwrap_or(false) })
        }
        ClientFrameType::Offer => member(MemberMessage::Signal(Signal::read(SignalKind::Offer, text)?)),
        ClientFrameType::Answer => member(MemberMessage::Signal(Signal::read(SignalKind::Answer, text)?)),
        ClientFrameType::IceCandidate => member(MemberMessage::Signal(Signal::read(SignalKind::IceCandidate, text)?)),
        ClientFrameType::Renegotiate => member(MemberMessage::Signal(Signal::read(SignalKind::Renegotiate, text)?)),
        ClientFrameType::Bye => member(MemberMessage::Signal(Signal::read(SignalKind::Bye, text)?)),
        ClientFrameType::PlaybackAck => member(MemberMessage::Signal(Signal::read(SignalKind::PlaybackAck, text)?)),
        ClientFrameType::Broadcast => {
            let Broadcast { event, data, to } = read(text)?;
            match to {
                Some(to) => member(MemberMessage::DirectMessage(DirectMessage { event, data, to })),
                None => act(Action::Broadcast { event, data }),
            }
        }
        ClientFrameType::ToggleGuestControl => {
            let frame: GuestControl = read(text)?;
            act(Action::GuestControl { enabled: frame.enabled })
        }
        ClientFrameType::TransferHost => {
            let frame: Target = read(text)?;
            act(Action::TransferHost { to: frame.target_user_id })
        }
        ClientFrameType::SetRole => {
            let frame: SetRole = read(text)?;
            act(Action::SetRole { to: frame.target_user_id, role: frame.role })
        }
        ClientFrameType::Kick => {
            let frame: Kick = read(text)?;
            act(Action::Kick { who: frame.target_user_id, note: frame.reason })
        }
        ClientFrameType::SetPin => {
            let frame: SetPin = read(text)?;
            member(MemberMessage::SetPin { pin: frame.pin })
        }
        ClientFrameType::LockRoom => {
            let frame: LockRoom = read(text)?;
            act(Action::LockRoom { locked: frame.locked })
        }
        ClientFrameType::Ban => {
            let frame: Kick = read(text)?;
            act(Action::Ban { who: frame.target_user_id, note: frame.reason })
        }
        ClientFrameType::Unban => {
            let frame: Target = read(text)?;
            act(Action::Unban { who: frame.target_user_id })
        }
        ClientFrameType::ListBans => member(MemberMessage::ListBans),
        ClientFrameType::RefreshToken => {
            let frame: RefreshToken = read(text)?;
            member(MemberMessage::RefreshToken { token: frame.token })
        }
        // Answers to requests that this server answers itself: if they were relayed, a member could mislead another one.
        ClientFrameType::SyncResponse | ClientFrameType::SyncPlayback => member(MemberMessage::Ignored),
    }
}

#[derive(Deserialize)]
struct Ping {
    #[serde(default, deserialize_with = "check::stamp")]
    t0: Option<f64>,
}

#[derive(Deserialize)]
struct Username {
    #[serde(deserialize_with = "check::username")]
    username: Option<Box<str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Control {
    Play,
    Pause,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PlayPause {
    control: Control,
    #[serde(default, deserialize_with = "check::seconds_option")]
    current_time: Option<f64>,
    #[serde(default, deserialize_with = "check::stamp")]
    event_timestamp: Option<f64>,
    #[serde(default, deserialize_with = "check::rate")]
    rate: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Playback {
    #[serde(deserialize_with = "check::seconds")]
    current_time: f64,
    is_playing: bool,
    #[serde(default, deserialize_with = "check::stamp")]
    event_timestamp: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ready {
    #[serde(deserialize_with = "check::seconds")]
    target_time: f64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UrlChange {
    #[serde(deserialize_with = "check::web_url")]
    url: Box<str>,
    #[serde(default, deserialize_with = "check::url_time")]
    current_time: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RequestSync {
    respect_auto_play: Option<bool>,
}

#[derive(Deserialize)]
struct Broadcast {
    #[serde(deserialize_with = "check::event_name")]
    event: Box<str>,
    #[serde(default, deserialize_with = "check::present")]
    data: Option<Json>,
    to: Option<UserId>,
}

#[derive(Deserialize)]
struct GuestControl {
    enabled: bool,
}

/// The field must be there, so that nobody opens a room by forgetting it.
#[derive(Deserialize)]
struct SetPin {
    #[serde(deserialize_with = "check::pin")]
    pin: Option<Confidential>,
}

#[derive(Deserialize)]
struct RefreshToken {
    token: Confidential,
}

#[derive(Deserialize)]
struct LockRoom {
    locked: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Target {
    target_user_id: UserId,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SetRole {
    target_user_id: UserId,
    role: Role,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kick {
    target_user_id: UserId,
    #[serde(default, deserialize_with = "check::note")]
    reason: Option<Box<str>>,
}
