//! Files that a browser has already, and lists of what it takes.

use super::{ask, connect, field, status};
use tandem_testkit::TestApp;

#[tokio::test]
async fn a_file_that_is_known_is_not_sent_again() {
    let app = TestApp::start().await;
    for path in ["/", "/assets/app.js", "/assets/style.css", "/assets/favicon.svg"] {
        let mut stream = connect(app.addr()).await;
        let (head, body) = ask(&mut stream, "GET", path, &[]).await;
        let tag = field(&head, "etag").expect("a tag").to_owned();
        assert!(!body.is_empty() && status(&head) == 200, "{head}");
        let line = |value: &str| format!("If-None-Match: {value}");
        for (lines, known) in [
            (vec![line(&tag)], true),
            (vec![line(&format!("W/{tag}"))], true),
            (vec![line("*")], true),
            (vec![line(&format!("\"x\", {tag}"))], true),
            (vec![line(&format!("W/\"x\",W/{tag},\"y\""))], true),
            (vec![line("\"x\""), line(&tag)], true),
            (vec![line("\"x\"")], false),
            (vec![line("W/\"x\", \"y\"")], false),
            (vec![line(tag.trim_matches('"'))], false),
        ] {
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            for method in ["GET", "HEAD"] {
                let (head, body) = ask(&mut stream, method, path, &lines).await;
                assert_eq!(status(&head), if known { 304 } else { 200 }, "{method} {path} {lines:?}\n{head}");
                assert_eq!(field(&head, "etag"), Some(tag.as_str()), "{head}");
                assert!(field(&head, "cache-control").is_some() && (!known || body.is_empty()), "{head}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_accepted_is_a_list() {
    let app = TestApp::start().await;
    for (lines, kind) in [
        (&[][..], "text/plain"),
        (&["Accept: */*"], "text/plain"),
        (&["Accept: application/json"], "application/json"),
        (&["Accept: text/plain", "Accept: Application/JSON"], "application/json"),
        (&["Accept: application/json;q=0, text/plain"], "text/plain"),
        (
            &["Accept: text/plain;q=0.5", "Accept: application/openmetrics-text;version=1.0.0"],
            "application/openmetrics-text",
        ),
    ] {
        let (head, _) = ask(&mut connect(app.addr()).await, "GET", "/metrics", lines).await;
        let found = field(&head, "content-type").unwrap();
        assert!(found.starts_with(kind), "{lines:?}: {found}");
    }
}
