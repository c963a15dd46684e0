//! The address of a client, as proxies supply it. The seat of a client that cannot resume passes to the same address.

use std::time::Duration;

use serde_json::json;

use tandem_testkit::{Client, TestApp};

#[tokio::test]
async fn one_address_is_one_client_in_whatever_form_it_comes() {
    let app = TestApp::start_with(&[("TRUST_PROXY_HOPS", "1")]).await;
    for (number, (first, second)) in [
        ("2001:db8::1", "[2001:db8::1]:443"),
        ("[2001:db8::1]", "\"[2001:DB8::1]:9\""),
        ("1.2.3.4:5678", "1.2.3.4:9"),
        ("1.2.3.4", "::ffff:1.2.3.4"),
        ("fe80::1%eth0", "[fe80::1]:1"),
        ("6.6.6.6, 1.2.3.4", "1.2.3.4"),
    ]
    .into_iter()
    .enumerate()
    {
        let room = format!("room{number}");
        let mut old = Client::connect_from(&app, first).await;
        old.enter(&room, "ana", json!({"features": []})).await;
        let mut new = Client::connect_from(&app, second).await;
        new.send_join(&room, "ana", json!({"features": []})).await;
        let answer = new.next().await;
        assert!(answer.is("ROOM_STATE"), "{first} and {second}: {answer:?}");
    }
}

#[tokio::test]
async fn whose_address_is_not_told_is_nobody_and_shares_nothing() {
    let app = TestApp::start_with(&[("TRUST_PROXY_HOPS", "1")]).await;
    for (number, (first, second)) in [
        ("2001:db8:1::1", "2001:db8:2::1"),
        ("[2001:db8:1::1]:443", "[2001:db8:2::1]:443"),
        ("unknown", "unknown"),
        ("_hidden", "_hidden"),
        ("", ""),
        ("1.2.3.4, unknown", "1.2.3.4, unknown"),
        // No client has the address of the proxy.
        ("unknown", "127.0.0.1"),
        ("127.0.0.1", "unknown"),
        ("not-an-address", "127.0.0.1"),
    ]
    .into_iter()
    .enumerate()
    {
        let room = format!("room{number}");
        let mut old = Client::connect_from(&app, first).await;
        old.enter(&room, "ana", json!({"features": []})).await;
        let mut new = Client::connect_from(&app, second).await;
        new.send_join(&room, "ana", json!({"features": []})).await;
        // The old one reads, so that it can answer a ping.
        tokio::select! {
            _ = old.during(Duration::from_mins(1)) => panic!("{first} and {second}: no answer"),
            answer = new.next() => assert_eq!(answer["code"], "identity_in_use", "{first} and {second}: {answer:?}"),
        }
    }
    app.until_it_says("TRUST_PROXY_HOPS").await;
}
