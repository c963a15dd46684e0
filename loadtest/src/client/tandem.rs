//! How a member comes into a room of tandem, and back into it.

use serde_json::json;

use super::{Join, scan};

/// What a member needs to take its place again after it has lost its connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Seat {
    /// Empty if the member did not ask for `resume`.
    token: String,
    epoch: u64,
    version: u64,
}

/// How a member came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    /// It was shown the whole room.
    Joined,
    /// It came back, and so many frames that it has missed follow.
    Resumed { replayed: u64 },
}

impl Seat {
    /// Notes the position in the room that a frame shows, and the token if it has one.
    pub(crate) fn note(&mut self, frame: &str) {
        if let Some(token) = scan::text(frame, "\"resumeToken\":") {
            token.clone_into(&mut self.token);
        }
        // RESUMED tells the position at the end of the frames that follow it.
        if !scan::is_type(frame, "RESUMED")
            && let (Some(epoch), Some(version)) =
                (scan::number(frame, "\"epoch\":"), scan::number(frame, "\"version\":"))
        {
            (self.epoch, self.version) = (epoch, version);
        }
    }

    pub(super) fn is_kept(&self) -> bool {
        !self.token.is_empty()
    }
}

pub(super) fn join(join: &Join<'_>) -> String {
    let Join { room, user, features, .. } = join;
    json!({ "type": "JOIN", "roomId": room, "userId": user, "username": user, "features": features }).to_string()
}

pub(super) fn resume(join: &Join<'_>, seat: &Seat) -> String {
    let Seat { token, epoch, version } = seat;
    let frame = json!({
        "type": "RESUME", "roomId": join.room, "userId": join.user, "features": join.features,
        "resumeToken": token, "epoch": epoch, "version": version,
    });
    frame.to_string()
}

/// How a member came in, if a frame says so.
pub(super) fn entered(frame: &str) -> Option<Entry> {
    if scan::is_type(frame, "RESUMED") {
        return Some(Entry::Resumed { replayed: scan::number(frame, "\"replayed\":")? });
    }
    scan::is_type(frame, "ROOM_STATE").then_some(Entry::Joined)
}

/// Whether a RESUME is refused because there is no seat for it any more.
pub(super) fn is_seat_gone(frame: &str) -> bool {
    scan::is_type(frame, "ERROR") && frame.contains("\"not_joined\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seat_follows_the_room_but_not_ahead_of_a_replay() {
        let mut seat = Seat::default();
        seat.note(r#"{"type":"ROOM_STATE","epoch":3,"version":7,"resumeToken":"a"}"#);
        seat.note(r#"{"type":"PLAY_PAUSE","currentTime":1.5,"epoch":3,"version":8}"#);
        seat.note(r#"{"type":"PONG"}"#);
        assert_eq!(seat, Seat { token: "a".to_owned(), epoch: 3, version: 8 });
        let resumed = r#"{"type":"RESUMED","version":12,"replayed":4,"epoch":3,"resumeToken":"b"}"#;
        assert_eq!(entered(resumed), Some(Entry::Resumed { replayed: 4 }));
        seat.note(resumed);
        assert_eq!(seat, Seat { token: "b".to_owned(), epoch: 3, version: 8 });
    }
}
