//! Where a node listens, and where it is asked whether it lives.

use std::{collections::BTreeMap, net::SocketAddr};

use super::{ask, connect, status};
use tandem_testkit::{TestApp, binary};

fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test]
async fn every_way_of_listening_is_found_by_the_healthcheck() {
    // An empty variable is one that is not set.
    for (host, reached, checks) in [
        ("", &["127.0.0.1", "::1"][..], &["", "::", "0.0.0.0", "127.0.0.1", "::1", "[::1]", "localhost"][..]),
        ("::", &["127.0.0.1", "::1"], &["", "::", "[::]"]),
        ("[::]", &["127.0.0.1", "::1"], &["[::]"]),
        ("0.0.0.0", &["127.0.0.1"], &["", "::", "0.0.0.0"]),
        ("127.0.0.1", &["127.0.0.1"], &["", "127.0.0.1"]),
        ("127.0.0.2", &["127.0.0.2"], &["127.0.0.2"]),
        ("::1", &["::1"], &["", "::1", "[::1]"]),
        ("[::1]", &["::1"], &["::", "[::1]"]),
        ("localhost", &[], &["localhost", ""]),
    ] {
        let app = TestApp::start_with(&[("HOST", host)]).await;
        let port = app.addr().port();
        for address in reached {
            let address = SocketAddr::new(address.parse().unwrap(), port);
            let (head, _) = ask(&mut connect(address).await, "GET", "/health", &[]).await;
            assert_eq!(status(&head), 200, "HOST={host} at {address}");
        }
        for check in checks {
            let env = environment(&[("HOST", check), ("PORT", &port.to_string())]);
            for path in ["/health", "/ready"] {
                let output = binary::run(&env, &["healthcheck", "--path", path]).await;
                assert_eq!(output.code, Some(0), "HOST={host}, asked at {check:?}: {output:?}");
            }
            let wrong = binary::run(&env, &["healthcheck", "--path", "/nowhere"]).await;
            assert_eq!(wrong.code, Some(1), "{wrong:?}");
        }
    }
}

#[tokio::test]
async fn an_address_that_is_not_there_is_named() {
    for host in ["203.0.113.1", "no-such-host.invalid"] {
        let dir = tempfile::tempdir().unwrap();
        let env = environment(&[("HOST", host), ("PORT", "0"), ("TANDEM_DATA_DIR", dir.path().to_str().unwrap())]);
        let output = binary::run(&env, &["serve"]).await;
        assert_eq!(output.code, Some(1), "{output:?}");
        assert!(output.stderr.contains(host) && output.stderr.contains("HOST"), "{output:?}");
    }
}

/// A client of IPv4 is the same one at a socket for both families: a PIN that it gets wrong is counted for its address.
#[tokio::test]
async fn clients_of_both_families_are_told_apart() {
    let app = TestApp::start_with(&[
        ("HOST", "::"),
        ("LOG_LEVEL", "debug"),
        ("ALLOWED_ORIGINS", "https://nobody.example.org"),
    ])
    .await;
    let port = app.addr().port();
    for (address, logged) in [("127.0.0.1", "\"client\":\"127.0.0.1\""), ("::1", "\"client\":\"::1\"")] {
        let key = format!("Sec-WebSocket-Key: {}", super::KEY);
        let lines = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", &key];
        let mut stream = connect(SocketAddr::new(address.parse().unwrap(), port)).await;
        assert_eq!(status(&ask(&mut stream, "GET", "/ws", &lines).await.0), 403);
        app.until_it_says(logged).await;
    }
}
