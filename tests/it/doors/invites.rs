//! Invite links, for the extension and for the page of the node.

use serde_json::json;

use super::{ask, connect, field, status};
use tandem_testkit::{Client, TestApp};

const EXTENSION: [(&str, &str); 2] = [("INVITE_URL", "https://www.netflix.com/"), ("URL_HOSTS", "netflix.com")];

#[tokio::test]
async fn a_dead_link_says_what_to_do_in_the_form_that_is_asked_for() {
    let app = TestApp::start().await;
    let browser = "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    for path in [
        "/room/zzzzzzzz",
        "/room/zzzzzzzz/123456",
        "/room/%FF",
        "/room/a/b/c",
        "/room/x%3Cscript%3E",
        "/room/zzzzzzzz/12-ab",
    ] {
        for (lines, kind) in [
            (&[browser][..], "text/html"),
            (&["Accept: application/xhtml+xml", "Accept: TEXT/HTML"], "text/html"),
            (&["Accept: application/json"], "application/json"),
            (&["Accept: application/json, text/html;q=0.5"], "application/json"),
            (&["Accept: */*"], "text/plain"),
            (&[], "text/plain"),
        ] {
            let (head, body) = ask(&mut connect(app.addr()).await, "GET", path, lines).await;
            assert_eq!(status(&head), 404, "{path} {lines:?}\n{head}");
            assert!(field(&head, "content-type").unwrap().starts_with(kind), "{path} {lines:?}\n{head}");
            assert_eq!(field(&head, "vary"), Some("accept"), "{head}");
            assert_eq!(field(&head, "cache-control"), Some("no-store"), "{head}");
            match kind {
                "text/html" => {
                    assert!(field(&head, "content-security-policy").is_some(), "{head}");
                    assert!(body.contains("<h1>This room is gone</h1>") && body.contains("new link"), "{body}");
                    assert!(!body.contains('{') && !body.contains("zzzzzzzz") && !body.contains("x<script"), "{body}");
                }
                "application/json" => {
                    let value: serde_json::Value = serde_json::from_str(&body).unwrap();
                    assert_eq!(value, json!({"error": "Room not found"}));
                }
                // Old clients know it by these words.
                _ => assert_eq!(body, "Room not found"),
            }
        }
    }
    let (head, _) = ask(&mut connect(app.addr()).await, "HEAD", "/room/zzzzzzzz", &[browser]).await;
    assert_eq!(status(&head), 404);
}

#[tokio::test]
async fn the_page_has_links_of_its_own_wherever_invitations_lead() {
    for (settings, elsewhere) in
        [(&[][..], "/"), (&EXTENSION, "https://www.netflix.com/"), (&[("INVITE_URL", "/start")], "/start")]
    {
        let app = TestApp::start_with(settings).await;
        let _ana = Client::join(&app, "film night", "ana").await;
        let found = app.get("/api/short-id/film%20night").await.json();
        let short = found["shortUrl"].as_str().unwrap().split_once("/room/").unwrap().1.to_owned();
        let page = found["pageUrl"].as_str().unwrap().split_once("/room/").unwrap().1.to_owned();
        assert_eq!(page, if elsewhere.starts_with("https") { format!("{short}?page") } else { short.clone() });
        for (target, location) in [
            (format!("/room/{short}"), format!("{elsewhere}?tandemRoom=film%20night")),
            (format!("/room/{short}/123456"), format!("{elsewhere}?tandemRoom=film%20night&pin=123456")),
            (format!("/room/{short}?page"), "/?tandemRoom=film%20night".to_owned()),
            (format!("/room/{short}/123456?page"), "/?tandemRoom=film%20night&pin=123456".to_owned()),
            (format!("/room/{short}/123456?x=1&page"), "/?tandemRoom=film%20night&pin=123456".to_owned()),
            (format!("/room/{short}?pages"), format!("{elsewhere}?tandemRoom=film%20night")),
        ] {
            let reply = app.get(&target).await;
            assert_eq!((reply.status, reply.header("location")), (302, Some(location.as_str())), "{target}");
        }
    }
}

#[tokio::test]
async fn the_page_may_show_its_own_media_whatever_rooms_may_watch() {
    let app = TestApp::start_with(&[EXTENSION[0], EXTENSION[1], ("PUBLIC_URL", "https://watch.example.org")]).await;
    let mut ana = Client::join(&app, "room", "ana").await;
    for url in [
        "https://www.netflix.com/watch/1",
        "https://tandem.invalid/test-picture",
        "https://tandem.invalid/local-file#name=film.mkv&size=7",
        "https://watch.example.org/test-picture",
        &format!("http://{}/test-picture", app.addr()),
    ] {
        ana.acked(json!({"type": "URL_CHANGE", "url": url})).await;
    }
    for url in [
        "https://example.org/test-picture",
        "https://tandem.invalid@example.org/test-picture",
        "https://watch.example.org/film.mp4",
        "https://tandem.invalid/film.mp4",
        "http://192.168.1.1/test-picture",
    ] {
        ana.refused(json!({"type": "URL_CHANGE", "url": url}), "forbidden").await;
    }
}

#[tokio::test]
async fn links_have_the_scheme_that_the_outermost_proxy_was_reached_by() {
    let app = TestApp::start_with(&[("TRUST_PROXY_HOPS", "1")]).await;
    let alone = TestApp::start().await;
    let listed = TestApp::start_with(&[("TRUSTED_PROXIES", "127.0.0.1")]).await;
    let stranger = TestApp::start_with(&[("TRUSTED_PROXIES", "10.0.0.1"), ("TRUST_PROXY_HOPS", "1")]).await;
    for (app, lines, scheme) in [
        (&app, &[][..], "http"),
        (&listed, &["X-Forwarded-Proto: https"], "https"),
        // Nobody but a proxy is believed.
        (&alone, &["X-Forwarded-Proto: https"], "http"),
        (&stranger, &["X-Forwarded-Proto: https"], "http"),
        (&app, &["X-Forwarded-Proto: https"], "https"),
        (&app, &["X-Forwarded-Proto: HTTPS"], "https"),
        (&app, &["X-Forwarded-Proto: https, http"], "https"),
        (&app, &["X-Forwarded-Proto: https", "X-Forwarded-Proto: http"], "https"),
        (&app, &["X-Forwarded-Proto: http, https"], "http"),
    ] {
        let (head, body) = ask(&mut connect(app.addr()).await, "GET", "/api/short-id/room", lines).await;
        assert_eq!(status(&head), 200, "{head}");
        let found: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert!(found["shortUrl"].as_str().unwrap().starts_with(&format!("{scheme}://x/room/")), "{lines:?}: {found}");
    }
}

#[tokio::test]
async fn a_forged_host_is_in_no_link_where_the_public_url_is_set() {
    let app = TestApp::start_with(&[("PUBLIC_URL", "https://watch.example.org"), ("TRUST_PROXY_HOPS", "1")]).await;
    let request = "GET /api/short-id/room HTTP/1.1\r\nHost: evil.net\r\nConnection: close\r\nX-Forwarded-Host: evil.net\r\n\
        X-Forwarded-Proto: http\r\nForwarded: host=evil.net\r\n\r\n";
    let reply = tandem_testkit::http::raw(app.addr(), request.as_bytes()).await.unwrap();
    for link in ["shortUrl", "pageUrl"] {
        let link = reply.json()[link].as_str().unwrap().to_owned();
        assert!(link.starts_with("https://watch.example.org/room/"), "{link}");
    }
}
