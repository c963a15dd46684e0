//! Violations of RFC 6455, as raw bytes: each ends the socket with its close code.

use std::time::Duration;

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{KEY, ask, connect, status};
use tandem_testkit::{Client, DEADLINE, TestApp};

const FIN: u8 = 0x80;
const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// A frame, masked with zeros, of which the length may be anything.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..126 => bytes.push(0x80 | u8::try_from(length).unwrap()),
        length @ 126..65_536 => {
            bytes.push(0x80 | 0x7e);
            bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
        length => {
            bytes.push(0x80 | 0x7f);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes
}

fn unmasked(first: u8, payload: &[u8]) -> Vec<u8> {
    [&[first, u8::try_from(payload.len()).unwrap()], payload].concat()
}

fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(FIN | CLOSE, &[&code.to_be_bytes(), reason].concat())
}

async fn open(app: &TestApp) -> TcpStream {
    let mut stream = connect(app.addr()).await;
    let key = format!("Sec-WebSocket-Key: {KEY}");
    let lines = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", &key];
    let (head, _) = ask(&mut stream, "GET", "/ws", &lines).await;
    assert_eq!(status(&head), 101, "{head}");
    stream
}

/// The codes of the close frames that come until the server closes, and whether it ended in the orderly way.
async fn closed(stream: &mut TcpStream) -> (Vec<u16>, bool) {
    let mut bytes = Vec::new();
    let orderly = timeout(DEADLINE, stream.read_to_end(&mut bytes)).await.expect("the server closes").is_ok();
    let mut codes = Vec::new();
    let mut rest = &bytes[..];
    while let [first, length, more @ ..] = rest {
        let (length, more) = match length {
            126 => (usize::from(u16::from_be_bytes([more[0], more[1]])), &more[2..]),
            127 => panic!("a long frame"),
            length => (usize::from(*length), more),
        };
        let (payload, more) = more.split_at(length);
        if *first == FIN | CLOSE {
            codes.push(if payload.is_empty() { 1005 } else { u16::from_be_bytes([payload[0], payload[1]]) });
        }
        rest = more;
    }
    (codes, orderly)
}

/// The violations: a description, the bytes, and the close code.
fn faults() -> Vec<(String, Vec<u8>, u16)> {
    let mut all: Vec<(String, Vec<u8>, u16)> = Vec::new();
    let mut add = |what: &str, bytes: Vec<u8>, code: u16| all.push((what.to_owned(), bytes, code));
    for bit in [0x40, 0x20, 0x10, 0x70] {
        add(&format!("reserved bits {bit:#x} of a text"), frame(FIN | bit | TEXT, b"{}"), 1002);
        add(&format!("reserved bits {bit:#x} of a ping"), frame(FIN | bit | PING, b""), 1002);
    }
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        add(&format!("opcode {opcode}"), frame(FIN | opcode, b""), 1002);
    }
    for opcode in [TEXT, BINARY, PING, PONG, CLOSE] {
        add(&format!("opcode {opcode} without a mask"), unmasked(FIN | opcode, b""), 1002);
        add(&format!("opcode {opcode} with two bytes without a mask"), unmasked(FIN | opcode, &[3, 0xe8]), 1002);
    }
    for opcode in [PING, PONG, CLOSE] {
        add(&format!("control frame {opcode} in fragments"), frame(opcode, b""), 1002);
        for size in [126, 200, 70_000] {
            add(&format!("control frame {opcode} of {size} bytes"), frame(FIN | opcode, &vec![3; size]), 1002);
        }
    }
    add("a continuation of nothing", frame(FIN | CONTINUATION, b"{}"), 1002);
    add("a first fragment that continues nothing", frame(CONTINUATION, b"{}"), 1002);
    add("a text within a text", [frame(TEXT, b"{"), frame(FIN | TEXT, b"{}")].concat(), 1002);
    add("a binary frame within a text", [frame(TEXT, b"{"), frame(BINARY, b"}")].concat(), 1002);
    add(
        "a continuation after the end",
        [frame(TEXT, b"{"), frame(FIN | CONTINUATION, b"}"), frame(FIN, b"")].concat(),
        1002,
    );
    add("a close frame of one byte", frame(FIN | CLOSE, &[3]), 1002);
    for code in [0, 1, 999, 1004, 1005, 1006, 1014, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        add(&format!("close code {code}"), close(code, b""), 1002);
    }
    add("a close code with words that is none", close(1005, b"bye"), 1002);

    for (what, bytes) in [
        ("0xff", &b"\xff"[..]),
        ("an overlong slash", b"\xc0\xaf"),
        ("a surrogate", b"\xed\xa0\x80"),
        ("beyond Unicode", b"\xf4\x90\x80\x80"),
        ("half a letter", b"{\"type\":\"PING\"}\xe2\x82"),
    ] {
        add(&format!("{what} in a text"), frame(FIN | TEXT, bytes), 1007);
        add(&format!("{what} in a fragment"), [frame(TEXT, b"a"), frame(FIN | CONTINUATION, bytes)].concat(), 1007);
        add(&format!("{what} in the reason of a close frame"), close(1000, bytes), 1007);
    }
    add("a letter whose halves do not fit", [frame(TEXT, b"\xe2\x82"), frame(FIN | CONTINUATION, b"a")].concat(), 1007);
    let euro = [
        frame(TEXT, b"\xe2"),
        frame(FIN | PING, b""),
        frame(CONTINUATION, b"\x82"),
        frame(FIN | CONTINUATION, b"\xff"),
    ];
    add("a letter that goes wrong in its last third", euro.concat(), 1007);

    let large = vec![b' '; 300 * 1024];
    add("a text of 300 KB", frame(FIN | TEXT, &large), 1009);
    add("a binary frame of 300 KB", frame(FIN | BINARY, &large), 1009);
    let piece = vec![b' '; 60 * 1024];
    let pieces = [vec![frame(TEXT, &piece)], vec![frame(CONTINUATION, &piece); 4], vec![frame(FIN, &piece)]].concat();
    add("a text of 360 KB in fragments", pieces.concat(), 1009);
    // Told before the rest is there, which never comes.
    add("a length of 2^40", [&[FIN | TEXT, 0xff][..], &(1_u64 << 40).to_be_bytes(), &[0; 4]].concat(), 1009);
    all
}

#[tokio::test]
async fn every_fault_ends_with_its_code_and_is_counted() {
    let app = TestApp::start().await;
    let mut calm = Client::join(&app, "room", "calm").await;
    for (what, bytes, code) in faults() {
        let mut stream = open(&app).await;
        // A JOIN before it, so that another member notices the end.
        let join = json!({"type": "JOIN", "roomId": "room", "userId": "rude", "features": []}).to_string();
        stream.write_all(&frame(FIN | TEXT, join.as_bytes())).await.unwrap();
        calm.until("USER_JOINED").await;
        stream.write_all(&bytes).await.unwrap();
        let (codes, orderly) = closed(&mut stream).await;
        assert_eq!(codes, [code], "{what}");
        assert!(orderly, "{what}: reset");
        calm.until("USER_LEFT").await;
    }
    for code in [1002, 1007, 1009] {
        app.log_line(json!({"msg": "closed", "code": code, "room": "room", "user": "rude"})).await;
    }
    app.log_line(json!({"msg": "the client broke RFC 6455", "room": "room", "user": "rude"})).await;
    // By what was done.
    let metrics = app.get("/metrics").await.body;
    for (reason, code) in [("protocol error", 1002), ("not UTF-8", 1007), ("too large", 1009)] {
        let count = faults().iter().filter(|fault| fault.2 == code).count();
        let line = format!("tandem_closes_total{{reason=\"{reason}\"}} {count}");
        assert!(metrics.contains(&line), "no {line} in\n{metrics}");
    }
    calm.ping().await;
}

/// For so long a node reads what a peer sends that it has closed.
const LINGER: Duration = Duration::from_secs(2);

/// Breaks the protocol, sends 1 MB more, some of it long after the fault, and reads to the end. Nothing if that took longer than the node
/// reads on, as on a machine that has no CPU time for it.
async fn speaks_on(app: &TestApp, fault: &[u8]) -> Option<std::io::Result<Vec<u8>>> {
    let begun = std::time::Instant::now();
    let (mut reader, mut writer) = open(app).await.into_split();
    let frame = frame(FIN | PING, &[7; 100]);
    // Together, so that there is something unread when the node notices the fault.
    writer.write_all(&[fault, &frame.repeat(200)].concat()).await.unwrap();
    let more = tokio::spawn(async move {
        for _ in 0..100 {
            writer.write_all(&frame.repeat(100)).await?;
            tokio::task::yield_now().await;
        }
        Ok(writer)
    });
    let sent = more.await.unwrap();
    if begun.elapsed() >= LINGER {
        return None;
    }
    let mut bytes = Vec::new();
    let read = timeout(DEADLINE, reader.read_to_end(&mut bytes)).await.expect("closed");
    Some(sent.and(read).map(|_| bytes))
}

/// A peer that continues to send would get a reset if the server stopped reading, and the reset would overtake the close frame.
#[tokio::test]
async fn a_peer_that_goes_on_speaking_reads_why_it_was_closed() {
    let app = TestApp::start().await;
    for (fault, code) in
        [(frame(FIN | 3, b""), 1002), (frame(FIN | TEXT, b"\xff"), 1007), (frame(FIN | TEXT, &vec![32; 300_000]), 1009)]
    {
        let mut tries = 0;
        let read = loop {
            if let Some(read) = speaks_on(&app, &fault).await {
                break read;
            }
            tries += 1;
            assert!(tries < 20, "{code}: the machine never has the time");
        };
        let bytes = read.unwrap_or_else(|error| panic!("{code}: reset: {error}"));
        let told = bytes.windows(4).any(|four| four[0] == FIN | CLOSE && four[2..] == u16::to_be_bytes(code));
        assert!(told, "{code}: {bytes:?}");
    }
}

#[tokio::test]
async fn binary_frames_cost_by_their_size_as_text_does() {
    let app = TestApp::start().await;
    let mut stream = open(&app).await;
    // Of a budget of 300 messages each takes 49: the node does not read on for a while.
    stream.write_all(&frame(FIN | BINARY, &vec![0; 200_000]).repeat(10)).await.unwrap();
    let mut said = Vec::new();
    let answers = |said: &[u8]| said.windows(15).filter(|part| *part == b"invalid_message").count();
    while answers(&said) < 10 {
        let more = timeout(DEADLINE, stream.read_buf(&mut said)).await.expect("an answer");
        assert!(more.unwrap() > 0, "closed");
    }
    let metrics = app.get("/metrics").await.body;
    let delayed = metrics.lines().find_map(|line| line.strip_prefix("tandem_reads_delayed_total "));
    assert!(delayed.is_some_and(|delayed| delayed != "0"), "{delayed:?}");
}

/// Valid behaviour of a peer.
#[tokio::test]
async fn right_closes_are_answered_with_their_own_code() {
    let app = TestApp::start().await;
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 3000, 3999, 4000, 4999] {
        let mut stream = open(&app).await;
        stream.write_all(&close(code, "bye ü".as_bytes())).await.unwrap();
        assert_eq!(closed(&mut stream).await, (vec![code], true));
    }
    let mut stream = open(&app).await;
    stream.write_all(&frame(FIN | CLOSE, b"")).await.unwrap();
    assert_eq!(closed(&mut stream).await, (vec![1005], true));
    // A letter in three fragments with a ping in between is a text.
    let mut stream = open(&app).await;
    let text = [
        frame(TEXT, b"\"\xe2"),
        frame(FIN | PING, b"p"),
        frame(CONTINUATION, b"\x82"),
        frame(FIN | CONTINUATION, b"\xac\""),
    ];
    stream.write_all(&text.concat()).await.unwrap();
    stream.write_all(&close(1000, b"")).await.unwrap();
    assert_eq!(closed(&mut stream).await, (vec![1000], true));
    let none = timeout(Duration::from_secs(1), app.until_it_says("the client broke RFC 6455")).await;
    assert!(none.is_err(), "{}", app.log());
}
