use std::sync::Arc;

use serde::Serialize;

use super::table::columns;
use crate::{
    clock::Millis,
    id::{RoomId, UserId},
    room::{Bans, Digest, Policy, Room, Timeline, UnknownFields, Vacancy},
};

/// A row of `rooms`, with everything that is needed to open the room again.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs, clippy::struct_excessive_bools, reason = "the columns of schema/")]
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
    pub locked: bool,
    /// They have rows of their own.
    #[serde(skip)]
    pub bans: Arc<Bans>,
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
        locked => "locked" Boolean,
        at => "updated_at" Time,
    } beside {
        archived: bool,
        bans: Arc<Bans>,
    }
}

impl RoomRow {
    /// The columns that identify a row and its version.
    pub(super) const AGE: [&str; 4] = ["id", "epoch", "version", "updated_at"];
    /// The columns of [`Film`]. All others are those of [`RoomState`].
    pub(super) const FILM: [&str; 4] = ["current_time", "is_playing", "rate", "position_at_ms"];

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
            locked,
            bans,
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
            pin_guard: None,
            locked,
            removed: Vec::new(),
            bans,
            unknown: UnknownFields::default(),
        };
        if archived { None } else { stored.reopened(policy, now) }
    }
}
