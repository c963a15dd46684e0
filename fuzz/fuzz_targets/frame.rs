//! The text of a frame, as a client sends it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tandem::protocol::{ClientFrameType, decode};

fuzz_target!(|text: &str| {
    match decode(text) {
        Ok(inbound) => {
            // Whatever is relayed can be read by whoever gets it.
            let value: serde_json::Value = serde_json::from_str(text).expect("a frame that is accepted is JSON");
            assert_eq!(value["type"].as_str().and_then(ClientFrameType::parse), Some(inbound.kind));
            assert_eq!(inbound.id.is_some(), value.get("id").is_some_and(|id| !id.is_null()));
        }
        Err(malformed) => {
            // It goes back to the sender, and into no log.
            assert!(malformed.message.chars().count() < 600, "{} characters", malformed.message.len());
            assert!(malformed.id.is_none_or(|id| id.0.get().len() <= 6 * 64 + 2));
        }
    }
});
