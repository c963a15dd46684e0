//! What one client address may use: its share of what is scarce, and caps.

use std::{net::SocketAddr, time::Duration};

use axum::http::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::{Instant, sleep, timeout},
};

use tandem_testkit::{Client, DEADLINE, TestApp, client::Connect, http2::Http2};

/// Two addresses of this machine.
const GREEDY: u8 = 66;
const HARMLESS: u8 = 77;

fn from(source: u8) -> Connect<'static> {
    Connect { source: Some(source), ..Connect::default() }
}

async fn open(addr: SocketAddr, source: u8) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, source], 0).into()).unwrap();
    socket.connect(addr).await.unwrap()
}

/// A request from an address; status, head and body.
async fn ask(addr: SocketAddr, source: u8, target: &str, lines: &str) -> (u16, String) {
    let mut stream = open(addr, source).await;
    let text = format!("GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{lines}\r\n");
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    timeout(DEADLINE, stream.read_to_end(&mut answer)).await.expect("an answer").unwrap();
    let answer = String::from_utf8_lossy(&answer).to_lowercase();
    (answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0), answer)
}

pub async fn metric(app: &TestApp, line: &str) -> u64 {
    let metrics = app.get("/metrics").await.body;
    let found = metrics.lines().find_map(|it| it.strip_prefix(line)?.strip_prefix(' '));
    found.unwrap_or_else(|| panic!("no {line}")).parse().unwrap()
}

#[tokio::test]
async fn one_address_leaves_half_of_the_sockets_to_the_others() {
    let app = TestApp::start_with(&[("MAX_CONNECTIONS", "300")]).await;
    let (mut greedy, mut refused) = (Vec::new(), 0);
    for _ in 0..300 {
        match Client::try_connect(&app, from(GREEDY)).await {
            Ok(client) => greedy.push(client),
            Err(answer) => {
                assert_eq!(answer.status(), 429);
                assert!(answer.headers()["retry-after"].to_str().unwrap().parse::<u32>().unwrap() >= 1);
                refused += 1;
            }
        }
    }
    assert_eq!((greedy.len(), refused), (150, 150));
    // A party of thirty behind another address comes in whole, and is not disturbed.
    let mut party = Vec::new();
    for number in 0..30 {
        let mut member = Client::connect_with(&app, from(HARMLESS)).await;
        member.enter("party", &format!("guest{number}"), json!({"features": ["resume"]})).await;
        party.push(member);
    }
    assert_eq!(metric(&app, "tandem_address_shares_exceeded_total{resource=\"sockets\"}").await, 150);
    assert_eq!(metric(&app, "tandem_upgrades_refused_total{reason=\"address_share\"}").await, 150);
    app.until_it_says("address_share").await;
    // What it gives back it may have again.
    greedy.truncate(100);
    let begun = Instant::now();
    while Client::try_connect(&app, from(GREEDY)).await.is_err() {
        assert!(begun.elapsed() < DEADLINE);
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn one_address_leaves_half_of_the_rooms_to_the_others() {
    let app = TestApp::start_with(&[("MAX_ROOMS", "300"), ("MESSAGE_BURST", "100000")]).await;
    let mut greedy = Client::connect_with(&app, from(GREEDY)).await;
    let mut made = 0;
    for number in 0..300 {
        greedy.send_join(&format!("junk-{number}"), "greedy", json!({"features": []})).await;
        let answer = greedy.until_answered().await;
        if answer.is("ERROR") {
            assert_eq!((answer.str("code"), &answer["retryable"]), ("rate_limited", &json!(true)), "{answer:?}");
            break;
        }
        made += 1;
    }
    assert_eq!(made, 150);
    for number in 0..30 {
        let mut other = Client::connect_with(&app, from(HARMLESS)).await;
        other.enter(&format!("film-{number}"), "host", json!({"features": []})).await;
    }
    assert!(metric(&app, "tandem_address_shares_exceeded_total{resource=\"rooms\"}").await >= 1);
    // A room that is there already is open to everybody.
    Client::connect_with(&app, from(GREEDY)).await.enter("film-0", "guest", json!({"features": []})).await;
}

#[tokio::test]
async fn connections_that_say_nothing_are_refused_before_they_are_half_of_all() {
    let app = TestApp::start_with(&[("TEST_OPEN_FILES", "600"), ("HEADER_TIMEOUT_SECONDS", "60")]).await;
    let mut all = Vec::new();
    for _ in 0..500 {
        all.push(open(app.addr(), GREEDY).await);
    }
    // Another address is answered meanwhile.
    let (status, _) = ask(app.addr(), HARMLESS, "/health", "").await;
    assert_eq!(status, 200);
    // Whoever is refused is told so at once.
    let mut refused = 0;
    for stream in &mut all {
        let mut answer = [0; 12];
        if let Ok(Ok(length)) = timeout(Duration::from_millis(10), stream.read(&mut answer)).await
            && length > 0
        {
            assert_eq!(&answer, b"HTTP/1.1 429");
            refused += 1;
        }
    }
    assert!(refused > 100, "{refused}");
    assert_eq!(metric(&app, "tandem_http_connections_shed_total").await, 0, "nobody had to make room");
}

#[tokio::test]
async fn codes_cannot_be_guessed_one_after_the_other() {
    let app = TestApp::start().await;
    let _host = Client::join(&app, "film", "host").await;
    let code = app.get("/api/short-id/film").await.json()["shortId"].as_str().unwrap().to_owned();
    let mut wrong = 0;
    let refused = loop {
        let (status, answer) = ask(app.addr(), GREEDY, &format!("/api/room/AAAA{wrong:04}"), "").await;
        if status == 429 {
            break answer;
        }
        assert_eq!(status, 404, "{answer}");
        wrong += 1;
        assert!(wrong < 500, "it answers for ever");
    };
    assert!((60..=80).contains(&wrong), "{wrong}");
    assert!(refused.contains("retry-after: "), "{refused}");
    // Now no code is looked up, not even one that is there: the answer does not tell which are.
    let target = format!("/api/room/{code}");
    let mut told = 0;
    for _ in 0..20 {
        told += usize::from(ask(app.addr(), GREEDY, &target, "").await.0 == 200);
    }
    assert!(told <= 2, "{told} of 20");
    // Who was invited is not concerned.
    assert_eq!(ask(app.addr(), HARMLESS, &target, "").await.0, 200);
    assert_eq!(ask(app.addr(), HARMLESS, &format!("/room/{code}"), "").await.0, 302);
}

/// The codes of rooms that do not exist are few, because each is kept for half an hour, and every new room begins with one.
#[tokio::test]
async fn one_address_leaves_half_of_the_new_codes_to_newcomers() {
    /// Over one connection: one by one they might come no faster than new ones are given out.
    const AT_ONCE: usize = 200;
    let app = TestApp::start().await;
    let (mut given, mut refused) = (0, 0);
    for batch in 0..40 {
        let ask = |number: usize| {
            let last = if number == AT_ONCE - 1 { "Connection: close\r\n" } else { "" };
            format!("GET /api/short-id/made-up-{batch}-{number} HTTP/1.1\r\nHost: x\r\n{last}\r\n")
        };
        let asked: String = (0..AT_ONCE).map(ask).collect();
        let mut stream = open(app.addr(), GREEDY).await;
        stream.write_all(asked.as_bytes()).await.unwrap();
        let mut answers = Vec::new();
        timeout(DEADLINE, stream.read_to_end(&mut answers)).await.expect("answers").unwrap();
        let of = |status: &str| String::from_utf8_lossy(&answers).matches(&format!("HTTP/1.1 {status} ")).count();
        given += of("200");
        refused += of("429");
        if refused > 1_000 {
            break;
        }
    }
    // Half of 5,000, and what is given out anew meanwhile.
    assert!((2_400..4_500).contains(&given) && refused > 0, "{given} given, {refused} refused");
    // A crowd of newcomers behind another address, all at once.
    let mut told = Vec::new();
    for number in 0..60 {
        told.push(ask(app.addr(), HARMLESS, &format!("/api/short-id/party-{number}"), "").await.0);
    }
    assert!(told.iter().all(|status| *status == 200), "{told:?}");
    assert!(metric(&app, "tandem_address_shares_exceeded_total{resource=\"codes\"}").await >= 1);
}

/// An answer about the node is hundreds of times as long as its question.
#[tokio::test]
async fn one_address_gets_so_many_bytes_about_the_node_and_no_more() {
    const AT_ONCE: usize = 200;
    let app = TestApp::start().await;
    let length = app.get("/metrics").await.body.len();
    let begun = Instant::now();
    let (mut given, mut refused) = (0, 0);
    while refused == 0 {
        let ask = |number: usize| {
            let kind = if number.is_multiple_of(2) { "application/openmetrics-text" } else { "text/plain" };
            let last = if number == AT_ONCE - 1 { "Connection: close\r\n" } else { "" };
            format!("GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: {kind}\r\n{last}\r\n")
        };
        let mut stream = open(app.addr(), GREEDY).await;
        stream.write_all((0..AT_ONCE).map(ask).collect::<String>().as_bytes()).await.unwrap();
        let mut answers = Vec::new();
        timeout(DEADLINE, stream.read_to_end(&mut answers)).await.expect("answers").unwrap();
        let answers = String::from_utf8_lossy(&answers);
        let of = |status: &str| answers.matches(&format!("HTTP/1.1 {status} ")).count();
        assert_eq!(of("200") + of("429"), AT_ONCE);
        assert_eq!(answers.matches("retry-after: 1\r\n").count(), of("429"));
        (given, refused) = (given + of("200"), refused + of("429"));
        assert!(given < 10_000, "it answers for ever");
    }
    // Three seconds' bytes at once; and what is on its way when they are used up.
    let most = 4e6 * (3.0 + begun.elapsed().as_secs_f64()) + 1e6;
    let bytes = f64::from(u32::try_from(given * length).unwrap());
    assert!((10e6..most).contains(&bytes), "{given} answers of {length} bytes, at most {most} bytes");
    // It is the same account over HTTP/2.
    let http2 = Http2::over(open(app.addr(), GREEDY).await, &Http2::patient()).await;
    let held_back = async {
        loop {
            let asked = (0..100).map(|_| http2.ask(Method::GET, "http://node/metrics"));
            let answers = futures_util::future::join_all(asked).await;
            if answers.into_iter().any(|answer| answer.unwrap().0.status() == 429) {
                break;
            }
        }
    };
    timeout(DEADLINE, held_back).await.expect("HTTP/2 is held back, too");
    // Whatever is short goes on, and nobody else notices.
    assert_eq!(ask(app.addr(), GREEDY, "/health", "").await.0, 200);
    for path in ["/metrics", "/status"] {
        assert_eq!(ask(app.addr(), HARMLESS, path, "").await.0, 200);
    }
    // After such a flood an answer may be a tenth of a second old.
    let counted = async {
        while metric(&app, "tandem_address_shares_exceeded_total{resource=\"requests\"}").await < 2 {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(DEADLINE, counted).await.expect("refusals are counted");
}

#[tokio::test]
async fn caps_are_off_until_they_are_set() {
    let caps = "sockets=3,connects=2,requests=5,messages=10";
    let app = TestApp::start_with(&[("ADDRESS_CAPS", caps), ("ADDRESS_SHARES", "false")]).await;
    let mut inside = Vec::new();
    for _ in 0..3 {
        inside.push(Client::connect_with(&app, from(GREEDY)).await);
    }
    assert_eq!(Client::try_connect(&app, from(GREEDY)).await.err().expect("a fourth").status(), 429);
    assert!(metric(&app, "tandem_address_caps_exceeded_total{resource=\"sockets\"}").await >= 1);
    // Another address has caps of its own; a request of it is refused after three times the rate.
    let mut answers = Vec::new();
    for _ in 0..25 {
        answers.push(ask(app.addr(), HARMLESS, "/health", "").await.0);
    }
    assert!(answers[..15].iter().all(|status| *status == 200) && answers.contains(&429), "{answers:?}");
    // The messages of all sockets of an address are counted together.
    let [first, second, ..] = &mut inside[..] else { panic!("three sockets") };
    first.enter("film", "ana", json!({"features": ["ack"]})).await;
    second.enter("film", "ben", json!({"features": ["ack"]})).await;
    let mut refused = 0;
    for number in 0..40 {
        let sender = if number % 2 == 0 { &mut *first } else { &mut *second };
        sender.send(json!({"type": "REQUEST_SYNC", "id": number})).await;
        let answer = sender.collect_until(|frame| frame["id"] == number, "the answer").await.pop().unwrap();
        refused += usize::from(answer.is("ERROR") && answer.str("code") == "rate_limited");
    }
    assert!(refused >= 5, "{refused} of 40");
}

#[tokio::test]
async fn what_stays_in_the_ledger_is_capped_by_its_bytes() {
    let app = TestApp::start_with(&[("ADDRESS_CAPS", "ledger=1000")]).await;
    let mut ana = Client::connect_with(&app, from(GREEDY)).await;
    ana.enter("film", "ana", json!({"features": ["ack"]})).await;
    let mut change = async |what: Value| {
        let mut frame = what;
        frame["id"] = json!("x");
        ana.send(frame).await;
        let answer = ana.collect_until(|frame| frame["id"] == "x", "the answer").await.pop().unwrap();
        answer.is("ACK")
    };
    let url = |number: u32| format!("https://example.org/{number}/{}", "x".repeat(300));
    let mut granted = 0;
    for number in 0..20 {
        granted += u32::from(change(json!({"type": "URL_CHANGE", "url": url(number)})).await);
    }
    assert!((5..15).contains(&granted), "some 480 bytes each, and 3,000 at once: {granted}");
    assert!(change(json!({"type": "REQUEST_SYNC"})).await, "what leaves nothing there goes on");
}

/// A proxy that the settings do not name is not one client, and would be the only one there is.
#[tokio::test]
async fn a_proxy_nobody_told_of_has_no_share() {
    let app = TestApp::start_with(&[("MAX_CONNECTIONS", "300")]).await;
    let forwarded = [("X-Forwarded-For", "203.0.113.7")];
    let mut inside = Vec::new();
    for _ in 0..300 {
        let how = Connect { headers: &forwarded, ..from(GREEDY) };
        inside.push(Client::connect_with(&app, how).await);
    }
    app.until_it_says("all its clients look like one").await;
}

/// The start of a text message, and one part of it after the other, each empty.
#[tokio::test]
async fn a_message_in_a_hundred_thousand_parts_is_not_read_to_its_end() {
    let app = TestApp::start().await;
    let mut calm = Client::join(&app, "film", "calm").await;
    let mut stream = Client::connect_with(&app, from(GREEDY)).await.into_stream();
    // A text frame and continuations without FIN, masked with zeros, without payload.
    stream.write_all(&[0x01, 0x80, 0, 0, 0, 0]).await.unwrap();
    let parts = [0x00, 0x80, 0, 0, 0, 0].repeat(1_000);
    let mut sent = 1_u32;
    let ended = loop {
        match timeout(DEADLINE, stream.write_all(&parts)).await {
            Ok(Ok(())) => sent += 1_000,
            Ok(Err(_)) => break true,
            Err(_) => break false,
        }
        assert!(sent < 2_000_000, "it reads on and on");
    };
    assert!(ended, "it is not closed");
    println!("ended after at most {sent} parts");
    calm.ping().await;
}

#[tokio::test]
async fn a_message_that_is_never_finished_is_not_waited_for() {
    let app = TestApp::start_with(&[("PING_INTERVAL_SECONDS", "0.4"), ("PING_TIMEOUT_SECONDS", "0.6")]).await;
    let mut stream = Client::connect_with(&app, from(GREEDY)).await.into_stream();
    // The first part of a text, and then nothing but answers to pings.
    stream.write_all(&[0x01, 0x85, 0, 0, 0, 0, b'{', b'"', b't', b'y', b'p']).await.unwrap();
    let close = [&[0x88, 2 + 18][..], &1008_u16.to_be_bytes(), b"unfinished message"].concat();
    let mut heard = Vec::new();
    let reading = async {
        let mut chunk = [0; 256];
        while !heard.ends_with(&close) {
            let length = stream.read(&mut chunk).await.expect("a close frame");
            heard.extend_from_slice(&chunk[..length]);
            stream.write_all(&[0x8A, 0x80, 0, 0, 0, 0]).await.unwrap();
        }
    };
    let closed = timeout(DEADLINE, reading).await;
    assert!(closed.is_ok(), "it is waited for: {heard:?}");
    // Whoever finishes a message in time is not concerned, nor is whoever says nothing.
    let mut calm = Client::join(&app, "film", "calm").await;
    // Its header has eight bytes, and no text follows it.
    calm.send_binary(vec![0; 200]).await;
    calm.expect_error("invalid_message").await;
    let frames = calm.during(Duration::from_secs(4)).await;
    assert!(frames.is_empty(), "{frames:?}");
    calm.ping().await;
}
