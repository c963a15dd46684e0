use std::{cmp::Ordering, sync::Arc};

use crate::{
    clock::Millis,
    room::{Room, StreamPosition, Update},
};

/// The state of a room in shared state, compared with the replica.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    /// Both are the same.
    Same,
    /// Shared state is ahead.
    Ahead,
    /// Shared state has lost updates that the replica has; this is the position that is left.
    Behind(Option<StreamPosition>),
    /// Shared state has a different room.
    Other,
}

/// `seated`: whether the room has members on this node.
pub(super) fn comparison(old: &Room, fresh: &Room, seated: bool, now: Millis) -> Comparison {
    if !old.exists() {
        return Comparison::Other;
    }
    if !fresh.exists() {
        // The room was closed or has expired; otherwise it was lost.
        let over = fresh.epoch >= old.epoch || (!seated && old.empty_until.is_some_and(|until| until <= now));
        return if over { Comparison::Other } else { Comparison::Behind(None) };
    }
    // Epochs only grow. An earlier one means that shared state has lost a restore.
    match (fresh.epoch.cmp(&old.epoch), fresh.version.cmp(&old.version)) {
        // Another node has restored an older replica.
        (Ordering::Greater, Ordering::Less) if fresh.born() == old.born() => Comparison::Behind(Some(fresh.position())),
        (Ordering::Less, _) | (Ordering::Equal, Ordering::Less) => Comparison::Behind(Some(fresh.position())),
        (Ordering::Equal, Ordering::Greater) => Comparison::Ahead,
        (Ordering::Equal, Ordering::Equal) if fresh.lineage_hash == old.lineage_hash => Comparison::Same,
        // Shared state lost updates, and continued differently since.
        (Ordering::Equal, Ordering::Equal) | (Ordering::Greater, _) => Comparison::Other,
    }
}

/// Whether these updates lead from one position to the other.
pub(super) fn leads_to(old: &Room, updates: &[Arc<Update>], fresh: &Room) -> bool {
    let mut room = old.clone();
    for update in updates {
        if update.base != room.version {
            return false;
        }
        for change in &update.changes {
            room.apply(change, update.at);
        }
        if room.version == fresh.version {
            return room.lineage_hash == fresh.lineage_hash;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use std::num::NonZero;

    use super::*;
    use crate::{
        id::{RoomId, UserId},
        room::Change,
    };

    fn room(epoch: u64, version: u64, mark: u64) -> Room {
        Room { epoch, version, lineage_hash: mark, ..Room::vacant(RoomId::parse("r").unwrap()) }
    }

    #[test]
    fn shared_state_is_the_same_ahead_behind_or_another_room() {
        let old = room(5, 10, 77);
        let vacant = |epoch| room(epoch, 0, 0);
        for (fresh, expected, why) in [
            (room(5, 10, 77), Comparison::Same, "nothing was missed"),
            (room(5, 11, 78), Comparison::Ahead, "it has gone on"),
            (
                room(5, 9, 76),
                Comparison::Behind(Some(StreamPosition { epoch: 5, version: 9 })),
                "it has lost its last second",
            ),
            (
                room(4, 90, 1),
                Comparison::Behind(Some(StreamPosition { epoch: 4, version: 90 })),
                "it has lost where the room was put back",
            ),
            (room(5, 10, 99), Comparison::Other, "it went another way under the same version"),
            (room(6, 1, 1), Comparison::Other, "the room was made anew"),
            (
                Room { born: NonZero::new(5), ..room(6, 9, 76) },
                Comparison::Behind(Some(StreamPosition { epoch: 6, version: 9 })),
                "an older copy of the room was put back",
            ),
            (room(6, 9, 76), Comparison::Other, "it was made anew, or a release before restored it"),
            (
                Room { born: NonZero::new(5), ..room(6, 10, 77) },
                Comparison::Other,
                "this copy of the room was put back",
            ),
            (
                Room { born: NonZero::new(5), ..room(6, 11, 78) },
                Comparison::Other,
                "a newer copy of the room was put back",
            ),
            (vacant(5), Comparison::Other, "the room was closed"),
            (vacant(0), Comparison::Behind(None), "it has lost all"),
        ] {
            assert_eq!(comparison(&old, &fresh, true, 0), expected, "{why}");
        }
        assert_eq!(comparison(&vacant(0), &room(5, 10, 77), false, 0), Comparison::Other, "this node has nothing");
    }

    #[test]
    fn a_room_whose_time_was_over_is_not_put_back_unless_somebody_sits_here() {
        let old = Room { empty_until: Some(100), ..room(5, 10, 77) };
        let gone = room(0, 0, 0);
        assert_eq!(comparison(&old, &gone, false, 99), Comparison::Behind(None));
        assert_eq!(comparison(&old, &gone, false, 100), Comparison::Other);
        assert_eq!(comparison(&old, &gone, true, 100), Comparison::Behind(None));
    }

    #[test]
    fn only_the_very_updates_that_were_missed_lead_to_what_shared_state_has() {
        let old = room(5, 10, 77);
        let host = |name| Change::HostChanged { host: UserId::parse(name).unwrap() };
        let step = |base, changes: &[Change], at| {
            Arc::new(Update { room: old.id.clone(), epoch: 5, base, at, changes: changes.to_vec() })
        };
        let missed = [step(10, &[host("a"), host("b")], 1), step(12, &[host("c")], 2)];
        let mut fresh = old.clone();
        for update in &missed {
            for change in &update.changes {
                fresh.apply(change, update.at);
            }
        }
        assert!(leads_to(&old, &missed, &fresh));
        let more = [Arc::clone(&missed[0]), Arc::clone(&missed[1]), step(13, &[host("d")], 3)];
        assert!(leads_to(&old, &more, &fresh), "what came after the read is no hindrance");
        assert!(!leads_to(&old, &missed[1..], &fresh), "one is missing at the beginning");
        assert!(!leads_to(&old, &missed[..1], &fresh), "one is missing at the end");
        assert!(!leads_to(&old, &[], &fresh));
        let other = [Arc::clone(&missed[0]), step(12, &[host("c")], 3)];
        assert!(!leads_to(&old, &other, &fresh), "the same versions, but another story");
    }
}
