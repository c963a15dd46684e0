//! The wire as it is, for clients of both generations: stories that are played over real sockets, compared with how they were recorded.
//! Every frame type, every error code and every close that a client can provoke comes up in one of them.
//!
//! A change of the protocol changes the records: `WRITE_TRANSCRIPT=1 cargo test --test it transcript` writes them, and the
//! difference belongs into the review.

mod bad_input;
mod ends;
mod frames;
mod names;
mod parties;
mod seats;
mod stage;
mod tokens;

use std::collections::BTreeSet;

use serde_json::Value;

use tandem_testkit::schema::{DOCUMENT, types};

const STORIES: [&str; 12] = [
    "modern",
    "first_generation",
    "bad_input",
    "rights",
    "resume",
    "entry",
    "errors",
    "closes",
    "mute",
    "renewal",
    "expiry",
    "tokens",
];

const FILM: &str = "https://films.example.org/watch/1?trackId=2";
/// Errors that only a bug causes.
const UNREACHED: [&str; 1] = ["internal"];

/// No frame type, error code or close code is left out of the stories.
#[test]
fn the_stories_leave_nothing_out() {
    let lines: Vec<Value> = STORIES.iter().flat_map(|story| stage::read(story)).collect();
    let all = |pick: &dyn Fn(&Value) -> Option<String>| lines.iter().filter_map(pick).collect::<BTreeSet<_>>();
    let word = |value: &Value| value.as_str().map(ToOwned::to_owned);
    let known: BTreeSet<_> = types("client").into_iter().collect();
    let sent = all(&|line| word(&line["sent"]["type"]).filter(|kind| known.contains(kind)));
    assert_eq!(sent, known, "left: sent in a story, right: documented");
    assert_eq!(all(&|line| word(&line["got"]["type"])), types("server").into_iter().collect());
    let codes = DOCUMENT["$defs"]["errorCode"]["enum"].as_array().unwrap();
    let codes = codes.iter().filter_map(word).filter(|code| !UNREACHED.contains(&code.as_str()));
    assert_eq!(all(&|line| word(&line["got"]["code"])), codes.collect());
    let closes =
        ["1000", "1002", "1007", "1008", "1009", "1012", "1013", "4008", "4009", "4429", "4501", "4502", "4503"];
    assert_eq!(all(&|line| line["closed"].as_u64().map(|code| code.to_string())), closes.map(ToOwned::to_owned).into());
}
