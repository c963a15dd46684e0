use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    clock::Millis,
    id::UserId,
    room::{Digest, Room, Timeline},
};

/// Where the film of a room is: at the time `at` it was at `position`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the columns of schema/")]
pub struct Film {
    pub position: f64,
    pub playing: bool,
    pub rate: f64,
    pub at: Millis,
}

/// What is needed to open a room again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the columns of schema/")]
pub struct RoomState {
    pub host: Option<UserId>,
    pub host_origin: Option<Digest>,
    pub url: Option<Arc<str>>,
    pub guest_control: bool,
    pub pin: Option<Digest>,
    pub empty_until: Option<Millis>,
    pub film: Film,
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
        }
    }
}
