use std::{iter, time::Instant};

use anyhow::Result;

use super::{Message, Plan, Returns, Schedule};
use crate::{
    client::scan,
    measure::{Faults, Latency, Receipts, VersionLog},
};

/// Records what all clients of a generator receive.
#[derive(Debug)]
pub(super) struct Receiver {
    message: Message,
    /// The schedule of the current round.
    pub(super) schedule: Option<Schedule>,
    /// From the moment a message was due to its arrival, in the current round.
    pub(super) latency: Latency,
    /// Deliveries so far, each counted once.
    pub(super) delivered: u64,
    /// ERROR frames and closed connections since they were last taken.
    errors: u64,
    first_error: Option<String>,
    pub(super) returns: Returns,
    rooms: Vec<Room>,
}

#[derive(Debug)]
struct Room {
    versions: VersionLog,
    members: Vec<Receipts>,
}

impl Receiver {
    pub(super) fn new(plan: &Plan) -> Result<Self> {
        let (members, senders) = (usize::try_from(plan.members)?, usize::try_from(plan.senders)?);
        let receipts = |member: usize| {
            let receipts = Receipts::new(senders);
            // A signal goes from each sender to the member after it.
            if plan.message.is_signal() { receipts.only_from((member + members - 1) % members) } else { receipts }
        };
        let room = || Room { versions: VersionLog::default(), members: (0..members).map(receipts).collect() };
        Ok(Self {
            message: plan.message,
            schedule: None,
            latency: Latency::new()?,
            delivered: 0,
            errors: 0,
            first_error: None,
            returns: Returns::new()?,
            rooms: iter::repeat_with(room).take(usize::try_from(plan.rooms)?).collect(),
        })
    }

    /// Records a frame that a member received just now.
    pub(super) fn receive(&mut self, frame: &str, room: u32, member: u32) {
        let now = Instant::now();
        let Some(arrival) = self.message.arrival(frame) else {
            self.returns.announced_left += u64::from(scan::is_type(frame, "USER_LEFT"));
            if scan::is_type(frame, "ERROR") {
                self.fail(frame.to_owned());
            }
            return;
        };
        let Some(Room { versions, members }) = at(&mut self.rooms, room) else { return };
        let Some(receipts) = at(members, member) else { return };
        if receipts.take(arrival, versions) {
            self.delivered += 1;
            if let Some(due) = self.schedule.and_then(|it| it.due(room.into(), arrival.sequence)) {
                self.latency.record(due, now);
            }
        }
    }

    pub(super) fn fail(&mut self, error: String) {
        self.errors += 1;
        self.first_error.get_or_insert(error);
    }

    /// The number of errors since the last call, and the first of them.
    pub(super) fn take_errors(&mut self) -> (u64, Option<String>) {
        (std::mem::take(&mut self.errors), self.first_error.take())
    }

    /// The faults, given that so many messages were sent in every room.
    pub(super) fn faults(&self, sent_per_room: u64) -> Faults {
        let mut faults = Faults::default();
        for receipts in self.rooms.iter().flat_map(|room| &room.members) {
            faults += receipts.faults(sent_per_room);
        }
        faults
    }
}

fn at<T>(list: &mut [T], place: u32) -> Option<&mut T> {
    list.get_mut(usize::try_from(place).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::plan::tests::plan;

    fn receiver(members: u32, senders: u32, message: Message) -> Receiver {
        let plan = Plan { message, ..plan(1, members, senders) };
        let mut receiver = Receiver::new(&plan).unwrap();
        receiver.schedule = Some(Schedule::new(Instant::now(), 1, senders).lasting(1, 1, 0));
        receiver
    }

    #[test]
    fn each_delivery_counts_once() {
        let mut receiver = receiver(2, 1, Message::Change { bytes: 0 });
        for member in [0, 1, 1] {
            receiver.receive(r#"{"type":"PLAY_PAUSE","currentTime":0.5,"version":3}"#, 0, member);
        }
        assert_eq!((receiver.delivered, receiver.latency.count()), (2, 2));
        assert_eq!((receiver.faults(1).doubled, receiver.faults(2).lost), (1, 2));
    }

    #[test]
    fn signals_are_expected_at_the_next_member_only() {
        let mut receiver = receiver(2, 2, Message::Candidate { bytes: 0 });
        for (number, member) in [(0, 1), (1, 0)] {
            receiver.receive(&receiver.message.frame(number, "x"), 0, member);
        }
        assert_eq!((receiver.faults(2), receiver.faults(4).lost), (Faults::default(), 2));
    }

    #[test]
    fn error_frames_are_errors_and_other_frames_are_not() {
        let mut receiver = receiver(2, 1, Message::Change { bytes: 0 });
        receiver.receive(r#"{"type":"USER_JOINED"}"#, 0, 0);
        receiver.receive(r#"{"type":"ERROR","code":"rate_limited"}"#, 0, 0);
        let (errors, first) = receiver.take_errors();
        assert!(errors == 1 && first.unwrap().contains("rate_limited"));
        assert_eq!(receiver.take_errors(), (0, None));
    }
}
