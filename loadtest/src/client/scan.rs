//! Finds a few fields in a frame without parsing it as JSON.
//!
//! That is only correct for frames which this generator caused, because it chose every string in them.

/// The number of a message that a client received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// The number of the message in its room.
    pub(crate) sequence: u64,
    /// The version of the room; only tandem sends one.
    pub(crate) version: Option<u64>,
}

/// The number in a `PLAY_PAUSE` frame, the whole part of `currentTime`; `None` for every other frame.
pub(crate) fn change(frame: &str) -> Option<Arrival> {
    if !is_type(frame, "PLAY_PAUSE") {
        return None;
    }
    let sequence = number(frame, "\"currentTime\":")?;
    Some(Arrival { sequence, version: number(frame, "\"version\":") })
}

/// The number of a signal, which is its field `n`; `None` for every other frame.
pub(crate) fn signal(frame: &str) -> Option<Arrival> {
    Some(Arrival { sequence: number(frame, "\"n\":")?, version: None })
}

/// Whether the frame is of that type, wherever `type` stands in it.
pub(crate) fn is_type(frame: &str, name: &str) -> bool {
    const KEY: &str = "\"type\":\"";
    frame
        .find(KEY)
        .and_then(|at| frame.get(at + KEY.len()..))
        .is_some_and(|rest| rest.strip_prefix(name).is_some_and(|rest| rest.starts_with('"')))
}

/// The whole part of the number behind the first `key`.
pub(crate) fn number(frame: &str, key: &str) -> Option<u64> {
    let digits = frame.get(frame.find(key)? + key.len()..)?;
    let end = digits.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
    digits.get(..end)?.parse().ok()
}

/// The text behind the first `key`, up to the next quote.
pub(crate) fn text<'a>(frame: &'a str, key: &str) -> Option<&'a str> {
    frame.get(frame.find(key)? + key.len()..)?.strip_prefix('"')?.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_has_a_number_and_a_version_if_it_is_from_tandem() {
        let tandem = r#"{"type":"PLAY_PAUSE","userId":"u1","control":"play","currentTime":41.5,"timeline":{"position":41.5,"playing":true,"rate":1,"at":1700000000000},"epoch":3,"version":1234,"timestamp":1700000000000}"#;
        let relay = r#"{"type":"PLAY_PAUSE","control":"pause","currentTime":7.5}"#;
        let another_order = r#"{"version":9,"currentTime":0.5,"type":"PLAY_PAUSE"}"#;
        for (frame, sequence, version) in [(tandem, 41, Some(1234)), (relay, 7, None), (another_order, 0, Some(9))] {
            assert_eq!(change(frame), Some(Arrival { sequence, version }));
        }
    }

    #[test]
    fn other_frames_are_no_changes() {
        for frame in [
            r#"{"type":"SEEK_PAUSE","currentTime":7.5}"#,
            r#"{"type":"PLAY_PAUSE_X","currentTime":7.5}"#,
            r#"{"type":"PLAY_PAUSE","control":"play"}"#,
            r#"{"type":"PLAY_PAUSE","currentTime":-1}"#,
            r#"{"type":"PLAY_PAUSE","currentTime":"#,
            "",
        ] {
            assert_eq!(change(frame), None, "{frame}");
        }
    }

    #[test]
    fn a_number_too_large_is_none() {
        assert_eq!(number("\"version\":99999999999999999999999", "\"version\":"), None);
    }
}
