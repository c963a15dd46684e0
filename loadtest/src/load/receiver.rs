use std::{collections::BTreeSet, iter, ops::Range, time::Instant};

use anyhow::Result;

use super::{Message, Plan, Returns, Schedule, roll_call::RollCall};
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
    /// The same of messages whose sender and receiver have not lost their connections in it.
    pub(super) others: Latency,
    /// Deliveries so far, each counted once.
    pub(super) delivered: u64,
    /// ERROR frames and closed connections since they were last taken.
    errors: u64,
    first_error: Option<String>,
    pub(super) returns: Returns,
    pub(super) roll_call: Option<RollCall>,
    patient: bool,
    senders: u64,
    rooms: Vec<Room>,
    /// The first ones are sent messages.
    playing: usize,
}

#[derive(Debug)]
struct Room {
    versions: VersionLog,
    members: Vec<Receipts>,
    /// Members that have lost their connections in the current round.
    dropped: BTreeSet<u32>,
}

impl Receiver {
    pub(super) fn new(plan: &Plan) -> Result<Self> {
        let (members, senders) = (usize::try_from(plan.members)?, usize::try_from(plan.senders)?);
        let receipts = |member: usize| {
            let receipts = Receipts::new(senders);
            // A signal goes from each sender to the member after it.
            if plan.message.is_signal() { receipts.only_from((member + members - 1) % members) } else { receipts }
        };
        let room = || Room {
            versions: VersionLog::default(),
            members: (0..members).map(receipts).collect(),
            dropped: BTreeSet::new(),
        };
        Ok(Self {
            message: plan.message,
            schedule: None,
            latency: Latency::new()?,
            others: Latency::new()?,
            delivered: 0,
            errors: 0,
            first_error: None,
            returns: Returns::new()?,
            roll_call: None,
            patient: plan.patient,
            senders: plan.senders.max(1).into(),
            rooms: iter::repeat_with(room).take(usize::try_from(plan.rooms)?).collect(),
            playing: usize::try_from(plan.playing())?,
        })
    }

    /// Records a frame that a member received just now.
    pub(super) fn receive(&mut self, frame: &str, room: u32, member: u32) {
        let now = Instant::now();
        let Some(arrival) = self.message.arrival(frame) else {
            self.returns.announced_left += u64::from(scan::is_type(frame, "USER_LEFT"));
            if self.patient && is_unavailable(frame) {
                self.returns.unavailable += 1;
            } else if scan::is_type(frame, "ERROR") {
                self.fail(frame.to_owned());
            } else if let Some(call) = &mut self.roll_call {
                call.hear(frame, room, member);
            }
            return;
        };
        let Some(Room { versions, members, dropped }) = at(&mut self.rooms, room) else { return };
        let Some(receipts) = at(members, member) else { return };
        if receipts.take(arrival, versions) {
            self.delivered += 1;
            if let Some(due) = self.schedule.and_then(|it| it.due(room.into(), arrival.sequence)) {
                self.latency.record(due, now);
                let sender = u32::try_from(arrival.sequence % self.senders).unwrap_or(0);
                if !dropped.contains(&member) && !dropped.contains(&sender) {
                    self.others.record(due, now);
                }
            }
        }
    }

    /// Notes that a member has lost its connection.
    pub(super) fn drop_member(&mut self, room: u32, member: u32) {
        self.returns.dropped += 1;
        if let Some(room) = at(&mut self.rooms, room) {
            room.dropped.insert(member);
        }
    }

    /// Begins a round by this schedule.
    pub(super) fn begin(&mut self, schedule: Schedule) -> Result<()> {
        self.schedule = Some(schedule);
        (self.latency, self.others) = (Latency::new()?, Latency::new()?);
        for room in &mut self.rooms {
            room.dropped.clear();
        }
        Ok(())
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
        for receipts in self.rooms.iter().take(self.playing).flat_map(|room| &room.members) {
            faults += receipts.faults(sent_per_room);
        }
        faults
    }

    /// Versions between the messages of each room that are none of these.
    pub(super) fn skipped(&self, messages: &Range<u64>) -> u64 {
        self.rooms.iter().take(self.playing).map(|room| room.versions.skipped(messages.clone())).sum()
    }
}

/// Whether a frame says that something could not be done because shared state was away.
pub(super) fn is_unavailable(frame: &str) -> bool {
    scan::is_type(frame, "ERROR") && frame.contains("\"unavailable\"")
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
    fn what_a_patient_sender_sends_again_is_no_error() {
        let frame = r#"{"type":"ERROR","code":"unavailable","message":"later"}"#;
        for (patient, errors) in [(true, 0), (false, 1)] {
            let mut receiver = receiver(2, 1, Message::Change { bytes: 0 });
            receiver.patient = patient;
            receiver.receive(frame, 0, 0);
            assert_eq!(receiver.take_errors().0, errors);
        }
    }

    #[test]
    fn who_lost_a_connection_is_not_among_the_others() {
        let mut receiver = receiver(3, 1, Message::Change { bytes: 0 });
        receiver.drop_member(0, 1);
        for member in 0..3 {
            receiver.receive(r#"{"type":"PLAY_PAUSE","currentTime":0.5,"version":3}"#, 0, member);
        }
        assert_eq!((receiver.latency.count(), receiver.others.count()), (3, 2));
        receiver.begin(Schedule::new(Instant::now(), 1, 1).lasting(2, 1, 0)).unwrap();
        receiver.drop_member(0, 0);
        for member in 0..3 {
            receiver.receive(r#"{"type":"PLAY_PAUSE","currentTime":1.5,"version":4}"#, 0, member);
        }
        assert_eq!((receiver.latency.count(), receiver.others.count()), (3, 0), "its sender had lost its own");
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
