//! Rooms that are opened again after the loss of their nodes.

use std::{num::NonZero, sync::Arc};

use super::{Member, Policy, Presence, Room, Timeline, Vacancy};
use crate::clock::Millis;

impl Room {
    /// The room in a new epoch, because its last versions may be known elsewhere.
    #[must_use]
    pub fn reincarnated(self, now: Millis) -> Self {
        Self { epoch: now.max(self.epoch.saturating_add(1)), born: NonZero::new(self.born()), ..self }
    }

    /// The stored room without members, in a new epoch. `None` if it was empty for too long. Its vacancy names the former host.
    pub fn reopened(self, policy: &Policy, now: Millis) -> Option<Self> {
        if self.empty_until.is_some_and(|until| until <= now) {
            return None;
        }
        let vacancy = self.vacancy.clone().map(|vacancy| Vacancy { until: now + policy.host_grace, ..vacancy });
        // At most now: otherwise, after a clock was set back, the film would stand still until then.
        let timeline = Timeline { at: self.timeline.at.min(now), ..self.timeline.clone() };
        let empty_until = Some(self.empty_until.unwrap_or(now + policy.empty_grace));
        Some(Self { vacancy, timeline, empty_until, ..self }.reincarnated(now))
    }

    /// Adds the members with a token as away. Their resume window begins now.
    pub fn readmit(&mut self, members: Vec<Member>, policy: &Policy, now: Millis) {
        let Some(last) = members.last() else { return };
        self.next_order = last.order.saturating_add(1);
        self.empty_until = None;
        if let Some(vacancy) = self.vacancy.take_if(|vacancy| members.iter().any(|member| member.user == vacancy.user))
        {
            self.host = Some(vacancy.user);
        }
        let presence = Presence::away(now, now + policy.resume_window);
        let away = |member: Member| (member.user.clone(), Member { presence, watching: false, ..member });
        self.members = Arc::new(members.into_iter().map(away).collect());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::RoomId;

    fn stored(position_at: Millis) -> Room {
        let timeline = Timeline { position: 100.0, playing: true, ..Timeline::start(position_at) };
        Room { version: 7, epoch: 1, timeline, ..Room::vacant(RoomId::parse("r").unwrap()) }
    }

    #[test]
    fn a_reopened_room_goes_on_from_its_stored_time() {
        // The film ran on while nobody had the room; the clock was set back meanwhile; by an hour.
        for (position_at, now, position) in [(1_000, 31_000, 130.0), (1_000, 1_000, 100.0), (3_601_000, 1_000, 100.0)] {
            let line = stored(position_at).reopened(&Policy::default(), now).unwrap().timeline;
            assert!((line.position_at(now) - position).abs() < 1e-9, "{line:?}");
            assert!(
                (line.position_at(now + 10_000) - position - 10.0).abs() < 1e-9,
                "it does not stand still: {line:?}"
            );
        }
    }

    #[test]
    fn a_room_that_was_empty_for_too_long_stays_closed_and_any_other_is_another_incarnation() {
        let empty = |until| Room { empty_until: Some(until), ..stored(1_000) };
        assert_eq!(empty(5_000).reopened(&Policy::default(), 5_000), None);
        let reopened = empty(5_001).reopened(&Policy::default(), 5_000).unwrap();
        assert_eq!((reopened.epoch, reopened.version, reopened.empty_until), (5_000, 7, Some(5_001)));
        // The clock was set back behind the epoch.
        assert_eq!(Room { epoch: 9_000, ..stored(0) }.reincarnated(5_000).epoch, 9_001);
    }
}
