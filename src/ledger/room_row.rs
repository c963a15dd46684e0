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
            misses: _,
            attempts: _,
            mark: _,
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

    /// The room without members, in a new epoch, because its last versions may not have reached the ledger. `None` if it was closed, or
    /// empty for too long.
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
        if archived || empty_until.is_some_and(|until| until <= now) {
            return None;
        }
        let until = now + policy.host_grace;
        let vacancy = host.map(|user| Vacancy { user, origin: host_origin, until });
        // At most now: otherwise, after a clock was set back, the film would stand still until then.
        let timeline = Timeline { position, playing, rate, at: position_at.min(now), by: None };
        // All fields, so that the compiler reports each new one.
        Some(Room {
            id,
            epoch: now.max(epoch.saturating_add(1)),
            version,
            pin,
            misses: None,
            attempts: None,
            mark: 0,
            members: Arc::default(),
            next_order: 0,
            host: None,
            vacancy,
            guest_control,
            url,
            timeline,
            gate: None,
            empty_until: Some(empty_until.unwrap_or(now + policy.empty_grace)),
            kicked: Vec::new(),
            unknown: UnknownFields::default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restored_room_goes_on_from_its_stored_time() {
        let row = |position_at| {
            let timeline = Timeline { position: 100.0, playing: true, ..Timeline::start(position_at) };
            let room = Room { version: 7, timeline, ..Room::vacant(RoomId::parse("r").unwrap()) };
            let update = Update { room: room.id.clone(), epoch: 1, base: 7, at: position_at, changes: Vec::new() };
            RoomRow::new(&update, &room)
        };
        // The film ran on while nobody had the room; the clock was set back meanwhile; by an hour.
        for (position_at, now, position) in [(1_000, 31_000, 130.0), (1_000, 1_000, 100.0), (3_601_000, 1_000, 100.0)] {
            let line = row(position_at).into_room(&Policy::default(), now).unwrap().timeline;
            assert!((line.position_at(now) - position).abs() < 1e-9, "{line:?}");
            assert!(
                (line.position_at(now + 10_000) - position - 10.0).abs() < 1e-9,
                "it does not stand still: {line:?}"
            );
        }
    }
}
