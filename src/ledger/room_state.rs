use std::sync::Arc;

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::{
    cbor,
    clock::Millis,
    id::UserId,
    room::{Digest, Playback, Room, Timeline},
};

/// Where the film of a room is: at the time `at` it was at `position`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, Encode, Decode)]
#[allow(missing_docs, reason = "the columns of schema/")]
pub struct Film {
    #[cbor(n(0), with = "cbor::number")]
    pub position: f64,
    #[n(1)]
    pub playing: bool,
    #[cbor(n(2), with = "cbor::number")]
    pub rate: f64,
    #[n(3)]
    pub at: Millis,
}

/// What is needed to open a room again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Encode, Decode)]
#[cbor(map)]
#[allow(missing_docs, reason = "the columns of schema/")]
pub struct RoomState {
    #[n(0)]
    pub host: Option<UserId>,
    #[n(1)]
    pub host_origin: Option<Digest>,
    #[cbor(n(2), with = "cbor::shared_text::option", has_nil)]
    pub url: Option<Arc<str>>,
    #[n(3)]
    pub guest_control: bool,
    #[n(4)]
    pub pin: Option<Digest>,
    #[n(5)]
    pub empty_until: Option<Millis>,
    #[n(6)]
    pub film: Film,
    #[serde(default)]
    #[cbor(n(7), default)]
    pub locked: bool,
}

impl Film {
    pub(super) fn new(playback: Playback, at: Millis) -> Self {
        let Playback { position, playing, rate } = playback;
        Self { position, playing, rate, at }
    }
}

impl From<&Timeline> for Film {
    fn from(Timeline { position, playing, rate, at, by: _ }: &Timeline) -> Self {
        Self { position: *position, playing: *playing, rate: *rate, at: *at }
    }
}

impl RoomState {
    pub(super) fn new(room: &Room) -> Self {
        let Room {
            pin,
            members,
            host: _,
            vacancy,
            guest_control,
            url,
            timeline,
            empty_until,
            locked,
            // These are in the update.
            id: _,
            epoch: _,
            version: _,
            // A room that is opened again has no use for this.
            born: _,
            misses: _,
            attempts: _,
            lineage_hash: _,
            next_order: _,
            gate: _,
            kicked: _,
            pin_guard: _,
            // These are in the updates that change them, and kicks are forgotten.
            removed: _,
            bans: _,
            unknown: _,
        } = room;
        let host = room.shown_host();
        let seated = host.and_then(|host| members.get(host)).map(|member| member.origin);
        Self {
            host: host.cloned(),
            host_origin: seated.or_else(|| vacancy.as_ref().and_then(|vacancy| vacancy.origin)),
            url: url.clone(),
            guest_control: *guest_control,
            pin: *pin,
            empty_until: *empty_until,
            film: timeline.into(),
            locked: *locked,
        }
    }
}
