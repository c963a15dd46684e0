use std::{
    fmt,
    ops::Deref,
    sync::atomic::{AtomicU64, Ordering},
};

use serde::Serialize;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use super::{ServerFrame, ServerFrameType};

/// An encoded frame of the server. Clones share the bytes: a frame is encoded once for all its receivers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    text: Utf8Bytes,
    kind: ServerFrameType,
}

impl Frame {
    /// Its type.
    pub fn kind(&self) -> ServerFrameType {
        self.kind
    }

    /// Who sent it, as it is written: the value of the second field of a directed frame, whose name differs. Nothing for other frames.
    /// `keep.lua` reads it in the same way.
    pub fn sender(&self) -> &str {
        let mut words = self.text.strip_prefix(r#"{"type":""#).unwrap_or_default().split('"');
        match (words.nth(1), words.nth(1)) {
            (Some(","), Some(":")) => words.next().unwrap_or_default(),
            _ => "",
        }
    }

    /// Its text, one JSON object.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl Deref for Frame {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A frame that another node has encoded, which begins with its type.
impl From<Utf8Bytes> for Frame {
    fn from(text: Utf8Bytes) -> Self {
        let word = text.strip_prefix(r#"{"type":""#).and_then(|rest| rest.split_once('"'));
        let kind = word.and_then(|(word, _)| ServerFrameType::parse(word)).unwrap_or(ServerFrameType::Other);
        Self { text, kind }
    }
}

impl From<String> for Frame {
    fn from(text: String) -> Self {
        Utf8Bytes::from(text).into()
    }
}

impl From<&str> for Frame {
    fn from(text: &str) -> Self {
        Utf8Bytes::from(text).into()
    }
}

impl From<Frame> for Message {
    fn from(frame: Frame) -> Self {
        Self::Text(frame.text)
    }
}

/// The number of frames of this process that could not be encoded.
static UNENCODABLE: AtomicU64 = AtomicU64::new(0);

/// The number of frames of this process that could not be encoded.
pub fn unencodable() -> u64 {
    UNENCODABLE.load(Ordering::Relaxed)
}

/// Encodes a frame. Every [`ServerFrame`] can be encoded; if one cannot, its receivers get `ERROR internal`.
pub fn encode(frame: &ServerFrame<'_>) -> Frame {
    write(frame, frame.kind())
}

fn write(frame: &impl Serialize, kind: ServerFrameType) -> Frame {
    let mut bytes = Vec::with_capacity(512);
    let written = serde_json::to_writer(&mut bytes, frame).map_err(|error| error.to_string());
    let written = written.and_then(|()| String::from_utf8(bytes).map_err(|error| error.to_string()));
    match written {
        Ok(text) => Frame { text: text.into(), kind },
        Err(error) => unwritten(kind, &error),
    }
}

fn unwritten(kind: ServerFrameType, error: &str) -> Frame {
    // It is a bug that may affect every frame of a room; logging the first ones is enough.
    let before = UNENCODABLE.fetch_add(1, Ordering::Relaxed);
    if before < 10 || before.is_multiple_of(1_000) {
        // Only the type, because the content is private.
        tracing::error!(
            frame = kind.as_str(),
            error,
            times = before + 1,
            "a frame cannot be encoded; an ERROR is sent instead"
        );
    }
    let text = r#"{"type":"ERROR","code":"internal","message":"Processing error","retryable":true}"#;
    Frame { text: Utf8Bytes::from_static(text), kind: ServerFrameType::Error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Broken;

    impl Serialize for Broken {
        fn serialize<S: serde::Serializer>(&self, _out: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("it is broken"))
        }
    }

    #[test]
    fn a_frame_that_cannot_be_written_is_counted_and_its_receiver_is_told() {
        let before = unencodable();
        let frame = write(&Broken, ServerFrameType::Pong);
        let told: serde_json::Value = serde_json::from_str(&frame).unwrap();
        assert_eq!((told["type"].as_str(), told["code"].as_str()), (Some("ERROR"), Some("internal")));
        assert_eq!(frame.kind(), ServerFrameType::Error);
        assert_eq!(unencodable(), before + 1);
    }

    #[test]
    fn the_type_of_a_frame_of_another_node_is_found_where_it_is_written() {
        for (text, kind) in [
            (r#"{"type":"PONG","timestamp":1}"#, ServerFrameType::Pong),
            (r#"{"type":"ICE_CANDIDATE","from":"a"}"#, ServerFrameType::IceCandidate),
            (r#"{"type":"NEWS"}"#, ServerFrameType::Other),
            (r#"{"type":"PONG"#, ServerFrameType::Other),
            ("{}", ServerFrameType::Other),
        ] {
            assert_eq!(Frame::from(text).kind(), kind, "{text}");
        }
    }

    /// The outbox of an idle socket holds none, but a busy one thousands.
    #[test]
    fn the_type_costs_no_more_than_the_flag_that_it_replaces() {
        assert_eq!(size_of::<Frame>(), size_of::<(Utf8Bytes, bool)>());
    }
}
