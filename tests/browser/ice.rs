//! ICE servers that a node accepts, a browser accepts, too: one invalid address makes `new RTCPeerConnection` throw for all members.

use clap::{Args as _, FromArgMatches as _};
use serde_json::{Value, json};
use tandem::{clock::Clock, config::IceConfig, id::UserId};

use crate::{chromium::Chromium, page::Page, server::Server};

/// The servers in ROOM_STATE for this `ICE_SERVERS`.
fn told(given: &Value) -> Option<Value> {
    let command = IceConfig::augment_args(clap::Command::new("x"));
    let matches = command.try_get_matches_from(["x", "--ice-servers", &given.to_string()]).ok()?;
    let config = IceConfig::from_arg_matches(&matches).unwrap();
    Some(json!(config.for_user(&UserId::parse("ana").unwrap(), &Clock::system())))
}

/// The error of Chromium for these servers.
async fn complaint(page: &Page, servers: &Value) -> Option<String> {
    let attempt = format!(
        "(() => {{ try {{ new RTCPeerConnection({{ iceServers: {servers} }}).close(); return null; }}
            catch (error) {{ return String(error); }} }})()"
    );
    page.eval(&attempt).await.as_str().map(str::to_owned)
}

#[tokio::test]
async fn what_is_taken_throws_in_no_browser_and_what_is_refused_does() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("../fixtures/ice-servers.json")).unwrap();
    let browser = Chromium::launch().await;
    let server = Server::start(&[]);
    let page = browser.page(&server.url()).await;
    let mut taken = 0;
    for case in &cases {
        let given = &case["given"];
        if let Some(servers) = told(given) {
            assert!(case["refused"].is_null(), "{given} was taken");
            assert_eq!(complaint(&page, &servers).await, None, "{given}");
            taken += 1;
        } else {
            assert!(case["refused"].is_string(), "{given} was refused");
            // Some are refused that Chromium takes, and makes nothing of.
            let throws = complaint(&page, given).await.is_some();
            assert_eq!(throws, case["lenient"].is_null(), "{given}");
        }
    }
    assert!(taken > 10 && cases.len() - taken > 30);
}
