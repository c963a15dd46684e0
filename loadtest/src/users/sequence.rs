use std::collections::HashMap;

use super::Record;
use crate::client::scan;

/// The order of what one member receives: versions of the room, and numbers of messages.
#[derive(Debug, Default)]
pub(super) struct Sequence {
    /// Epoch and version of the last frame of the room.
    position: Option<(u64, u64)>,
    /// The next number of the host's messages.
    next_chat: Option<u64>,
    /// The connection of the host that these numbers belong to.
    connection: u64,
    /// The next number of the signals of each other member.
    next_signals: HashMap<String, u64>,
}

impl Sequence {
    /// Signals that were under way when the connection broke may be lost.
    pub(super) fn forget_signals(&mut self) {
        self.next_signals.clear();
    }

    /// Epoch and version that this member knows.
    pub(super) fn position(&self) -> Option<(u64, u64)> {
        self.position
    }

    pub(super) fn begin(&mut self, frame: &str) {
        *self = Self { position: position(frame), ..Self::default() };
    }

    /// Checks a frame of the room. Versions only grow, but several frames may have the same one.
    pub(super) fn room(&mut self, frame: &str, record: &Record) {
        let Some(now) = position(frame) else { return };
        if self.position.is_some_and(|before| before > now) {
            record.count("out_of_order", 1);
        }
        self.position = self.position.max(Some(now));
    }

    /// Checks a numbered message of the host. Numbers begin anew with each of its connections.
    pub(super) fn chat(&mut self, connection: u64, number: u64, record: &Record) {
        if connection != self.connection {
            self.connection = connection;
            self.next_chat = None;
        }
        check(&mut self.next_chat, number, record);
    }

    /// Checks a numbered signal of another member. Numbers begin with 0 when it has joined again.
    pub(super) fn signal(&mut self, from: &str, number: u64, record: &Record) {
        let mut next = self.next_signals.get(from).copied().filter(|_| number > 0);
        check(&mut next, number, record);
        if let Some(next) = next {
            self.next_signals.insert(from.to_owned(), next);
        }
    }
}

fn check(next: &mut Option<u64>, number: u64, record: &Record) {
    match *next {
        Some(next) if number > next => record.count("lost", number - next),
        Some(next) if number < next => record.count("doubled", 1),
        _ => {}
    }
    *next = (*next).max(Some(number + 1));
}

fn position(frame: &str) -> Option<(u64, u64)> {
    Some((scan::number(frame, "\"epoch\":")?, scan::number(frame, "\"version\":")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_repeats_and_steps_back_are_counted() {
        let record = Record::new();
        let mut sequence = Sequence::default();
        for (connection, number) in [(1, 7), (1, 8), (1, 10), (1, 10), (2, 0)] {
            sequence.chat(connection, number, &record);
        }
        assert_eq!((record.total("lost"), record.total("doubled")), (1, 1));
        for frame in [r#"{"epoch":5,"version":3}"#, r#"{"epoch":5,"version":4}"#, r#"{"epoch":6,"version":1}"#] {
            sequence.room(frame, &record);
        }
        assert_eq!(record.total("out_of_order"), 0);
        sequence.room(r#"{"epoch":5,"version":9}"#, &record);
        assert_eq!(record.total("out_of_order"), 1);
    }

    #[test]
    fn signals_are_numbered_for_each_member_and_begin_anew() {
        let record = Record::new();
        let mut sequence = Sequence::default();
        for (from, number) in [("a", 0), ("a", 1), ("b", 0), ("a", 0), ("a", 1)] {
            sequence.signal(from, number, &record);
        }
        assert_eq!((record.total("lost"), record.total("doubled")), (0, 0));
        sequence.signal("a", 3, &record);
        assert_eq!(record.total("lost"), 1);
    }
}
