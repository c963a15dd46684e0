//! `ICE_SERVERS`: a list in the shape of `RTCIceServer`, or the answer of a provider of TURN servers. Errors name the entry, and never show
//! its content.

use serde_json::{Map, Value};

use super::ice_url::ice_url;
use crate::protocol::IceServer;

/// The maximum number of servers. A browser asks all of them, and warns of more than four.
const MOST_SERVERS: usize = 32;
/// The maximum length that RFC 8489 allows; browsers throw beyond it.
const LONGEST_USERNAME: usize = 509;
/// The fields in which providers put the list.
const WRAPPERS: [&str; 3] = ["iceServers", "ice_servers", "v"];

/// A JSON list of servers; a type of its own because a `Vec` would mean a repeated flag.
#[derive(Debug, Clone)]
pub struct IceServers {
    pub(super) servers: Vec<IceServer>,
    /// Fields that no browser reads, each with its entry.
    pub(super) ignored: Vec<String>,
}

/// Reads the setting.
pub(super) fn ice_servers(text: &str) -> Result<IceServers, String> {
    let value: Value = serde_json::from_str(text)
        .map_err(|error| format!("expected JSON, but line {} column {} is none", error.line(), error.column()))?;
    let mut found = IceServers { servers: Vec::new(), ignored: Vec::new() };
    let entries = list(value)?;
    if entries.len() > MOST_SERVERS {
        return Err(format!("expected at most {MOST_SERVERS} servers"));
    }
    for (number, entry) in (1..).zip(entries) {
        let Value::Object(members) = entry else { return Err(format!("entry {number}: expected an object")) };
        let server = server(members, number, &mut found.ignored).map_err(|why| format!("entry {number}: {why}"))?;
        found.servers.push(server);
    }
    Ok(found)
}

/// The list itself, taken from the answers of Twilio, Xirsys, Metered and Cloudflare; a single server is a list of one.
fn list(value: Value) -> Result<Vec<Value>, String> {
    match value {
        Value::Array(entries) => Ok(entries),
        Value::Object(mut members) => match WRAPPERS.iter().find_map(|name| members.remove(*name)) {
            Some(inner) => list(inner),
            None => Ok(vec![Value::Object(members)]),
        },
        _ => Err("expected a list of servers".to_owned()),
    }
}

fn server(mut members: Map<String, Value>, number: usize, ignored: &mut Vec<String>) -> Result<IceServer, String> {
    // The older name of the field; if both are given they mean the same.
    let older = members.remove("url");
    let urls = match members.remove("urls").or(older) {
        None => return Err("expected urls".to_owned()),
        Some(Value::String(url)) => vec![url],
        Some(Value::Array(urls)) => urls
            .into_iter()
            .map(|url| if let Value::String(url) = url { Ok(url) } else { Err("expected urls to be texts".to_owned()) })
            .collect::<Result<_, _>>()?,
        Some(_) => return Err("expected urls to be a text or a list of texts".to_owned()),
    };
    if urls.is_empty() {
        return Err("expected at least one address in urls".to_owned());
    }
    let urls = (1..)
        .zip(urls)
        .map(|(place, url)| ice_url(&url).map_err(|why| format!("address {place}: {why}")))
        .collect::<Result<Vec<_>, _>>()?;
    let mut text = |name: &str| match members.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("expected {name} to be a text")),
    };
    let (username, credential) = (text("username")?, text("credential")?);
    if text("credentialType")?.is_some_and(|kind| kind != "password") {
        return Err("expected credentialType to be password: browsers know no other".to_owned());
    }
    let is_given = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    if urls.iter().any(|url| url.starts_with("turn")) && !(is_given(&username) && is_given(&credential)) {
        return Err("expected a username and a credential beside an address of TURN".to_owned());
    }
    if username.as_ref().is_some_and(|name| name.len() > LONGEST_USERNAME) {
        return Err(format!("expected a username of at most {LONGEST_USERNAME} bytes"));
    }
    // Only what looks like a name is repeated: anything else may be a secret.
    let plain =
        |name: &&String| name.len() <= 32 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    ignored.extend(members.keys().filter(plain).map(|name| format!("{name} of entry {number}")));
    Ok(IceServer { urls, username, credential })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_providers_answer() {
        let fixture: Vec<Value> = serde_json::from_str(include_str!("../../tests/fixtures/ice-servers.json")).unwrap();
        assert!(fixture.len() > 30);
        for case in fixture {
            let text = case["given"].to_string();
            match (ice_servers(&text), case["refused"].as_str()) {
                (Ok(found), None) => {
                    assert_eq!(found.servers.len() as u64, case["servers"].as_u64().unwrap(), "{text}");
                }
                (Err(said), Some(why)) => {
                    assert!(said.contains(why), "{text}: {said}");
                    assert!(!said.contains("hush"), "{text}: {said}");
                }
                (found, _) => panic!("{text}: {found:?}"),
            }
        }
    }

    #[test]
    fn what_is_no_json_is_not_repeated() {
        for wrong in ["hush", "[{\"urls\":hush}]", "\"hush\"", "7", "", "[\"hush\"]", "[{\"urls\":\"stun:a.org\"}"] {
            let said = ice_servers(wrong).unwrap_err();
            assert!(said.starts_with("expected") || said.starts_with("entry 1: expected"), "{said}");
            assert!(!said.contains("hush"), "{said}");
        }
    }

    #[test]
    fn members_that_nobody_reads_are_told() {
        let found = ice_servers("[{\"url\":\"stun:a.org\",\"priority\":1}]").unwrap();
        assert_eq!(found.ignored, ["priority of entry 1"]);
        assert_eq!(found.servers[0].urls, ["stun:a.org"]);
    }
}
