use crate::{client::scan, measure::Faults};

/// A call that one member of each room makes, and that every member must hear once, under one version.
#[derive(Debug)]
pub(super) struct RollCall {
    number: u64,
    members: usize,
    /// By room and member.
    heard: Vec<bool>,
    /// The version of the call of each room.
    versions: Vec<Option<u64>>,
    unheard: u64,
    faults: Faults,
}

/// The name of the event.
const EVENT: &str = "roll-call";

/// The frame that calls.
pub(super) fn frame(number: u64) -> String {
    format!(r#"{{"type":"BROADCAST","event":"{EVENT}","data":{{"call":{number}}}}}"#)
}

/// The number of the call that a frame is.
pub(super) fn number(frame: &str) -> Option<u64> {
    if !scan::is_type(frame, "BROADCAST") {
        return None;
    }
    scan::number(frame, "\"call\":")
}

impl RollCall {
    pub(super) fn new(number: u64, rooms: u32, members: u32) -> Self {
        let (rooms, members) = (usize::try_from(rooms).unwrap_or(0), usize::try_from(members).unwrap_or(0));
        let all = rooms * members;
        let unheard = u64::try_from(all).unwrap_or(u64::MAX);
        let (heard, versions) = (vec![false; all], vec![None; rooms]);
        Self { number, members, heard, versions, unheard, faults: Faults::default() }
    }

    /// A member has received a frame that may be this call.
    pub(super) fn hear(&mut self, frame: &str, room: u32, member: u32) {
        if number(frame) != Some(self.number) {
            return;
        }
        let (Ok(room), Ok(member)) = (usize::try_from(room), usize::try_from(member)) else { return };
        let Some(heard) = self.heard.get_mut(room * self.members + member) else { return };
        if std::mem::replace(heard, true) {
            self.faults.doubled += 1;
            return;
        }
        self.unheard -= 1;
        let (version, known) = (scan::number(frame, "\"version\":"), self.versions.get_mut(room));
        if let (Some(version), Some(known)) = (version, known) {
            self.faults.differing += u64::from(*known.get_or_insert(version) != version);
        }
    }

    /// Members that have not heard the call yet.
    pub(super) fn unheard(&self) -> u64 {
        self.unheard
    }

    pub(super) fn faults(&self) -> Faults {
        Faults { lost: self.unheard, ..self.faults }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(number: u64, version: u64) -> String {
        frame(number).replace("}}", &format!(r#"}},"epoch":1,"version":{version}}}"#))
    }

    #[test]
    fn a_call_is_a_frame_and_found_again() {
        serde_json::from_str::<serde_json::Value>(&frame(3)).unwrap();
        assert_eq!((number(&frame(3)), number(r#"{"type":"PLAY_PAUSE","call":3}"#)), (Some(3), None));
    }

    #[test]
    fn every_member_hears_it_once_under_one_version() {
        let mut call = RollCall::new(7, 2, 2);
        for (frame, room, member) in
            [(heard(7, 4), 0, 0), (heard(7, 4), 0, 1), (heard(6, 4), 1, 0), (heard(7, 8), 1, 0), (heard(7, 8), 1, 0)]
        {
            call.hear(&frame, room, member);
        }
        assert_eq!((call.unheard(), call.faults()), (1, Faults { lost: 1, doubled: 1, ..Faults::default() }));
        call.hear(&heard(7, 9), 1, 1);
        assert_eq!(call.faults(), Faults { doubled: 1, differing: 1, ..Faults::default() });
    }
}
