//! Signals of the size that browsers make them.

use super::Tick;

/// Bytes of a session description with one camera and one microphone.
const SDP: usize = 3_000;
/// Bytes of a candidate.
const CANDIDATE: usize = 130;

/// One signal.
pub(crate) fn signal(kind: &str, to: &str, number: u64, due: Tick) -> String {
    let (field, name, size) = match kind {
        "OFFER" => ("offer", "sdp", SDP),
        "ANSWER" => ("answer", "sdp", SDP),
        _ => ("candidate", "candidate", CANDIDATE),
    };
    let text = "v".repeat(size);
    format!(r#"{{"type":"{kind}","to":"{to}","{field}":{{"n":{number},"t0":{due},"{name}":"{text}"}}}}"#)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_json_of_their_kind() {
        for kind in ["OFFER", "ANSWER", "ICE_CANDIDATE"] {
            let signal: serde_json::Value = serde_json::from_str(&signal(kind, "a", 3, 17)).unwrap();
            assert_eq!(signal["type"], kind);
        }
    }
}
