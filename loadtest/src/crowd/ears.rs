use std::collections::HashMap;

use super::Record;
use crate::scan;

/// What one member can tell of the order of what it hears.
#[derive(Debug, Default)]
pub(super) struct Ears {
    /// Of the last frame of the room.
    point: Option<(u64, u64)>,
    /// The next number of the host's messages.
    chat: Option<u64>,
    /// Of which of the host's sockets.
    run: u64,
    /// The next number of each peer's signals.
    signals: HashMap<String, u64>,
}

impl Ears {
    /// Signals on their way when the socket broke are gone: that is no fault.
    pub(super) fn forget_signals(&mut self) {
        self.signals.clear();
    }

    /// Where the room is, as far as this member knows.
    pub(super) fn point(&self) -> Option<(u64, u64)> {
        self.point
    }

    /// A ROOM_STATE: from here on.
    pub(super) fn begin(&mut self, frame: &str) {
        *self = Self { point: point(frame), ..Self::default() };
    }

    /// A frame of the room: versions only grow, though one may have several frames.
    pub(super) fn room(&mut self, frame: &str, record: &Record) {
        let Some(now) = point(frame) else { return };
        if self.point.is_some_and(|before| before > now) {
            record.count("out_of_order", 1);
        }
        self.point = self.point.max(Some(now));
    }

    /// A numbered message of the host: none is missing, none comes twice.
    pub(super) fn chat(&mut self, run: u64, number: u64, record: &Record) {
        if run != self.run {
            self.run = run;
            self.chat = None;
        }
        follow(&mut self.chat, number, record);
    }

    /// A numbered signal of a peer. One that came in anew begins anew.
    pub(super) fn signal(&mut self, from: &str, number: u64, record: &Record) {
        let mut next = self.signals.get(from).copied().filter(|_| number > 0);
        follow(&mut next, number, record);
        if let Some(next) = next {
            self.signals.insert(from.to_owned(), next);
        }
    }
}

fn follow(next: &mut Option<u64>, number: u64, record: &Record) {
    match *next {
        Some(next) if number > next => record.count("lost", number - next),
        Some(next) if number < next => record.count("doubled", 1),
        _ => {}
    }
    *next = (*next).max(Some(number + 1));
}

fn point(frame: &str) -> Option<(u64, u64)> {
    Some((scan::number(frame, "\"epoch\":")?, scan::number(frame, "\"version\":")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_repeats_and_steps_back_are_counted() {
        let record = Record::new();
        let mut ears = Ears::default();
        for number in [7, 8, 10, 10] {
            ears.chat(1, number, &record);
        }
        assert_eq!((record.total("lost"), record.total("doubled")), (1, 1));
        ears.chat(2, 0, &record);
        assert_eq!((record.total("lost"), record.total("doubled")), (1, 1));
        ears.room(r#"{"epoch":5,"version":3}"#, &record);
        ears.room(r#"{"epoch":5,"version":4}"#, &record);
        ears.room(r#"{"epoch":6,"version":1}"#, &record);
        assert_eq!(record.total("out_of_order"), 0);
        ears.room(r#"{"epoch":5,"version":9}"#, &record);
        assert_eq!(record.total("out_of_order"), 1);
    }

    #[test]
    fn signals_are_numbered_by_peer_and_begin_anew() {
        let record = Record::new();
        let mut ears = Ears::default();
        for (from, number) in [("a", 0), ("a", 1), ("b", 0), ("a", 0), ("a", 1)] {
            ears.signal(from, number, &record);
        }
        assert_eq!((record.total("lost"), record.total("doubled")), (0, 0));
        ears.signal("a", 3, &record);
        assert_eq!(record.total("lost"), 1);
    }
}
