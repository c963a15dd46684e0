//! One struct a frame, with the names of the wire.

use serde::Deserialize;

use super::check;
use crate::{
    id::{RoomId, UserId},
    room::{Json, Role},
};

/// JOIN.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "docs/protocol.md has them")]
pub struct JoinFrame {
    pub room_id: RoomId,
    pub user_id: UserId,
    #[serde(default, deserialize_with = "check::username")]
    pub username: Option<Box<str>>,
    #[serde(default, deserialize_with = "check::pin")]
    pub pin: Option<Box<str>>,
    pub features: Option<Vec<Box<str>>>,
    pub resume_token: Option<Box<str>>,
}

/// RESUME.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "docs/protocol.md has them")]
pub struct ResumeFrame {
    pub room_id: RoomId,
    pub user_id: UserId,
    pub resume_token: Box<str>,
    pub epoch: u64,
    pub version: u64,
    pub features: Option<Vec<Box<str>>>,
}

#[derive(Deserialize)]
pub(super) struct Ping {
    #[serde(default, deserialize_with = "check::stamp")]
    pub(super) t0: Option<f64>,
}

#[derive(Deserialize)]
pub(super) struct Username {
    #[serde(deserialize_with = "check::username")]
    pub(super) username: Option<Box<str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Control {
    Play,
    Pause,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PlayPause {
    pub(super) control: Control,
    #[serde(default, deserialize_with = "check::seconds_option")]
    pub(super) current_time: Option<f64>,
    #[serde(default, deserialize_with = "check::stamp")]
    pub(super) event_timestamp: Option<f64>,
    #[serde(default, deserialize_with = "check::rate")]
    pub(super) rate: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Playback {
    #[serde(deserialize_with = "check::seconds")]
    pub(super) current_time: f64,
    pub(super) is_playing: bool,
    #[serde(default, deserialize_with = "check::stamp")]
    pub(super) event_timestamp: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Ready {
    #[serde(deserialize_with = "check::seconds")]
    pub(super) target_time: f64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UrlChange {
    #[serde(deserialize_with = "check::web_url")]
    pub(super) url: Box<str>,
    #[serde(default, deserialize_with = "check::url_time")]
    pub(super) current_time: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RequestSync {
    pub(super) respect_auto_play: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Directed {
    pub(super) to: UserId,
    #[serde(default, deserialize_with = "check::present")]
    pub(super) offer: Option<Json>,
    #[serde(default, deserialize_with = "check::present")]
    pub(super) answer: Option<Json>,
    #[serde(default, deserialize_with = "check::present")]
    pub(super) candidate: Option<Json>,
    #[serde(default, deserialize_with = "check::present")]
    pub(super) control: Option<Json>,
    #[serde(default, deserialize_with = "check::label")]
    pub(super) negotiation_id: Option<Json>,
}

#[derive(Deserialize)]
pub(super) struct Broadcast {
    #[serde(deserialize_with = "check::event_name")]
    pub(super) event: Box<str>,
    #[serde(default, deserialize_with = "check::present")]
    pub(super) data: Option<Json>,
    pub(super) to: Option<UserId>,
}

#[derive(Deserialize)]
pub(super) struct GuestControl {
    pub(super) enabled: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Target {
    pub(super) target_user_id: UserId,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SetRole {
    pub(super) target_user_id: UserId,
    pub(super) role: Role,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Kick {
    pub(super) target_user_id: UserId,
    #[serde(default, deserialize_with = "check::note")]
    pub(super) reason: Option<Box<str>>,
}
