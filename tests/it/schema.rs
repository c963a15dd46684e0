//! docs/protocol.md and `schema/frames.schema.json` say the same.

use serde_json::json;

use tandem_testkit::schema::{DOCUMENT, check, check_union, types};

const PROTOCOL: &str = include_str!("../../docs/protocol.md");

/// The words in backticks in the first column of the tables between two headings.
fn first_column(from: &str, to: &str) -> Vec<String> {
    let after = PROTOCOL.split_once(from).unwrap_or_else(|| panic!("no heading {from}")).1;
    let section = after.split_once(to).unwrap_or_else(|| panic!("no heading {to}")).0;
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    let mut words: Vec<String> = rows
        .flat_map(|row| row.split_once('|').unwrap().0.split('`').map(str::trim).map(ToOwned::to_owned))
        .filter(|word| !word.is_empty() && word != ",")
        .collect();
    words.sort();
    words
}

fn sorted(mut words: Vec<String>) -> Vec<String> {
    words.sort();
    words
}

#[test]
fn the_schema_has_the_frames_that_the_document_lists() {
    assert_eq!(sorted(types("client")), first_column("## Client to server", "## Server to client"));
    assert_eq!(sorted(types("server")), first_column("## Server to client", "### Features"));
}

#[test]
fn the_schema_has_the_features_and_the_error_codes_that_the_document_lists() {
    let words = |name: &str| {
        let list = DOCUMENT["$defs"][name]["enum"].as_array().unwrap().clone();
        sorted(list.iter().map(|word| word.as_str().unwrap().to_owned()).collect())
    };
    assert_eq!(words("feature"), first_column("### Features", "### Offers without glare"));
    assert_eq!(words("errorCode"), first_column("## Errors", "## Closing"));
}

#[test]
fn the_first_conversation_of_the_document_is_valid() {
    let example = PROTOCOL.split("```").nth(1).unwrap();
    let mut seen = 0;
    for line in example.lines().filter(|line| line.contains('{')) {
        let (direction, text) = line.split_once(' ').unwrap();
        if direction == ">" {
            let frame = serde_json::from_str(text).unwrap();
            check("client", &frame).unwrap_or_else(|why| panic!("{why}"));
            check_union("client", &frame).unwrap_or_else(|why| panic!("{why}"));
            seen += 1;
        }
    }
    assert_eq!(seen, 2);
}

#[test]
fn a_server_frame_with_an_undocumented_field_is_refused() {
    let pong = json!({"type": "PONG", "timestamp": 1, "t0": 1, "t1": 2, "t2": 3});
    assert_eq!(check("server", &pong), Ok(()));
    assert_eq!(check_union("server", &pong), Ok(()));
    let mut odd = pong.clone();
    odd["pin"] = json!("123456");
    assert!(check("server", &odd).is_err());
    let mut half = pong.clone();
    half.as_object_mut().unwrap().remove("t2");
    assert!(check("server", &half).is_err());
    let mut text = pong;
    text["t1"] = json!("2");
    assert!(check("server", &text).is_err());
}

#[test]
fn what_the_first_generation_sends_is_valid() {
    for frame in [
        json!({"type": "JOIN", "userId": "user_1", "roomId": "r", "username": null, "pin": null, "timestamp": 1}),
        json!({"type": "JOIN", "userId": "user_1", "roomId": "r"}),
        json!({"type": "PLAY_PAUSE", "control": "pause", "userId": "user_1", "roomId": "r"}),
        json!({"type": "UPDATE_USERNAME", "username": null, "userId": "user_1", "roomId": null}),
        json!({"type": "URL_CHANGE", "url": "https://www.netflix.com/watch/100", "currentTime": 2269.329}),
        json!({"type": "REQUEST_SYNC", "respectAutoPlay": false}),
        json!({"type": "SYNC_RESPONSE", "to": "user_2", "currentTime": 1, "isPlaying": true, "url": ""}),
    ] {
        check_union("client", &frame).unwrap_or_else(|why| panic!("{frame}: {why}"));
    }
}
