//! What the clients of a stage write down.

use std::{iter, time::Instant};

use anyhow::Result;

use crate::{
    latency::Latency,
    scan,
    schedule::Schedule,
    tally::{Faults, Tally, VersionLog},
};

/// What the clients of a stage write down.
#[derive(Debug)]
pub(crate) struct Notes {
    /// What is under way.
    pub(crate) schedule: Option<Schedule>,
    /// From the time a message was due to the time it arrived.
    pub(crate) latency: Latency,
    /// Different deliveries so far.
    pub(crate) delivered: u64,
    /// ERROR frames and closed sockets.
    pub(crate) complaints: u64,
    /// The first of them.
    pub(crate) first_complaint: Option<String>,
    rooms: Vec<RoomNotes>,
}

#[derive(Debug)]
struct RoomNotes {
    versions: VersionLog,
    members: Vec<Tally>,
}

impl Notes {
    /// Empty ones for `rooms` rooms of `members`, of whom `senders` send.
    pub(crate) fn new(rooms: usize, members: usize, senders: usize) -> Result<Self> {
        let room = || RoomNotes {
            versions: VersionLog::default(),
            members: iter::repeat_with(|| Tally::new(senders)).take(members).collect(),
        };
        Ok(Self {
            schedule: None,
            latency: Latency::new()?,
            delivered: 0,
            complaints: 0,
            first_complaint: None,
            rooms: iter::repeat_with(room).take(rooms).collect(),
        })
    }

    /// Takes in a frame that a member received just now.
    pub(crate) fn take(&mut self, frame: &str, room: usize, member: usize) {
        let now = Instant::now();
        let Some(beat) = scan::beat(frame) else {
            if scan::is_type(frame, "ERROR") {
                self.complain(frame.to_owned());
            }
            return;
        };
        let Some(RoomNotes { versions, members }) = self.rooms.get_mut(room) else {
            return;
        };
        let Some(tally) = members.get_mut(member) else {
            return;
        };
        if tally.take(beat, versions) {
            self.delivered += 1;
            let due = self.schedule.and_then(|plan| plan.due(u64::try_from(room).ok()?, beat.sequence));
            if let Some(due) = due {
                self.latency.record(due, now);
            }
        }
    }

    /// Takes in something that should not have happened.
    pub(crate) fn complain(&mut self, complaint: String) {
        self.complaints += 1;
        self.first_complaint.get_or_insert(complaint);
    }

    /// The faults, when every room was sent that many messages.
    pub(crate) fn faults(&self, sent_per_room: u64) -> Faults {
        let mut faults = Faults::default();
        for tally in self.rooms.iter().flat_map(|room| &room.members) {
            faults += tally.faults(sent_per_room);
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEAT: &str = r#"{"type":"PLAY_PAUSE","currentTime":0.5,"version":3}"#;

    #[test]
    fn each_delivery_counts_once() {
        let mut notes = Notes::new(1, 2, 1).unwrap();
        notes.schedule = Some(Schedule::new(Instant::now(), (1, 1), 1, 1, 0));
        for member in [0, 1, 1] {
            notes.take(BEAT, 0, member);
        }
        assert_eq!(notes.delivered, 2);
        assert_eq!(notes.latency.summary().count, 2);
        assert_eq!(notes.faults(1).doubled, 1);
        assert_eq!(notes.faults(2).lost, 2);
    }

    #[test]
    fn errors_are_complaints_and_other_frames_are_not() {
        let mut notes = Notes::new(1, 1, 1).unwrap();
        notes.take(r#"{"type":"USER_JOINED"}"#, 0, 0);
        assert_eq!(notes.complaints, 0);
        notes.take(r#"{"type":"ERROR","code":"rate_limited"}"#, 0, 0);
        assert_eq!(notes.complaints, 1);
        assert!(notes.first_complaint.unwrap().contains("rate_limited"));
    }
}
