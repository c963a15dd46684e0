use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::table::columns;
use crate::{
    clock::Millis,
    id::{RoomId, UserId},
    room::{Digest, Policy, Room, Timeline, UnknownFields, Update, Vacancy},
};

/// A row of `rooms`, with everything that is needed to open the room again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the columns of schema/")]
pub struct RoomRow {
    pub id: RoomId,
    pub epoch: u64,
    pub version: u64,
    pub host: Option<UserId>,
    pub host_origin: Option<Digest>,
    pub url: Option<Arc<str>>,
    pub position: f64,
    pub playing: bool,
    pub rate: f64,
    /// The time of `position`. Only the row of a closed room has 0.
    pub position_at: Millis,
    pub guest_control: bool,
    pub pin: Option<Digest>,
    pub empty_until: Option<Millis>,
    /// In the databases, the time at which the room was closed.
    pub archived: bool,
    pub at: Millis,
}

columns! {
    write and read RoomRow {
        id => "id" Text,
        epoch => "epoch" BigInt,
        version => "version" BigInt,
        host => "host_user_id" Text,
        host_origin => "host_origin" Text,
        url => "current_url" Text,
        position => "current_time" Double,
        playing => "is_playing" Boolean,
        rate => "rate" Double,
        position_at => "position_at_ms" BigInt,
        guest_control => "guest_control_enabled" Boolean,
        pin => "pin_digest" Text,
        empty_until => "empty_until_ms" BigInt,
        at => "updated_at" Time,
    } beside {
        archived: bool,
    }
}

impl RoomRow {
    /// The columns that identify a row and its version. All others describe the room.
    pub(super) const AGE: [&str; 4] = ["id", "epoch", "version", "updated_at"];

    /// The row of a room after `update`.
    pub(super) fn new(update: &Update, after: &Room) -> Self {
        let archived = !after.exists();
        let Room {
            id,
            pin,
            members,
            host: _,
            vacancy,
            guest_control,
            url,
            timeline: Timeline { position, playing, rate, at: position_at, by: _ },
            empty_until,
            // From the update, because a closed room has no version any more.
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
        } = after;
        let host = after.shown_host();
        let seated = host.and_then(|host| members.get(host)).map(|member| member.origin);
        Self {
            id: id.clone(),
            epoch: update.epoch,
            version: update.version(),
            host: host.cloned(),
            host_origin: seated.or_else(|| vacancy.as_ref().and_then(|vacancy| vacancy.origin)),
            url: url.clone(),
            position: *position,
            playing: *playing,
            rate: *rate,
            position_at: *position_at,
            guest_control: *guest_control,
            pin: *pin,
            empty_until: *empty_until,
            archived,
            at: update.at,
        }
    }

    /// The room as it is opened again: see [`Room::reopened`]. `None` for one that was closed.
    pub fn into_room(self, policy: &Policy, now: Millis) -> Option<Room> {
        let Self {
            id,
            epoch,
            version,
            host,
            host_origin,
            url,
            position,
            playing,
            rate,
            position_at,
            guest_control,
            pin,
            empty_until,
            archived,
            at: _,
        } = self;
        // All fields, so that the compiler reports each new one.
        let stored = Room {
            id,
            epoch,
            born: None,
            version,
            pin,
            misses: None,
            attempts: None,
            lineage_hash: 0,
            members: Arc::default(),
            next_order: 0,
            host: None,
            vacancy: host.map(|user| Vacancy { user, origin: host_origin, until: 0 }),
            guest_control,
            url,
            timeline: Timeline { position, playing, rate, at: position_at, by: None },
            gate: None,
            empty_until,
            kicked: Vec::new(),
            unknown: UnknownFields::default(),
        };
        if archived { None } else { stored.reopened(policy, now) }
    }
}
