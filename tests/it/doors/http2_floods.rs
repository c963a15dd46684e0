//! HTTP/2 from clients that want to harm: frames by hand.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::{Instant, sleep, timeout},
};

use super::{ask, connect, http2::until, status, tls::number};
use tandem_testkit::{DEADLINE, TestApp};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// :method GET, :scheme http, :path /, :authority x
const GET: &[u8] = &[0x82, 0x86, 0x84, 0x41, 1, b'x'];
const REFUSED_STREAM: u32 = 7;
const CANCEL: u32 = 8;
const ENHANCE_YOUR_CALM: u32 = 11;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn get(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, stream, GET)
}

/// An extended CONNECT.
fn socket(stream: u32) -> Vec<u8> {
    let mut block = vec![0x86, 0x41, 1, b'x'];
    for (name, value) in
        [(":method", "CONNECT"), (":path", "/ws"), (":protocol", "websocket"), ("sec-websocket-version", "13")]
    {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend(text.as_bytes());
        }
    }
    // Names that begin with a colon come first.
    frame(HEADERS, END_HEADERS, stream, &block)
}

fn take_back(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes())
}

/// Begins a connection whose streams have this window.
async fn begin(app: &TestApp, window: u32) -> TcpStream {
    let mut stream = connect(app.addr()).await;
    let settings = [&4_u16.to_be_bytes()[..], &window.to_be_bytes()].concat();
    let begun = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &frame(SETTINGS, 0, 0, &settings)[..]].concat();
    stream.write_all(&begun).await.unwrap();
    stream
}

/// A frame: its kind, its stream, and what it carries.
type Came = (u8, u32, Vec<u8>);

/// The next frame; `None` when the connection has ended.
async fn next(stream: &mut TcpStream) -> Option<Came> {
    let read = async {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.ok()?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        stream.read_exact(&mut payload).await.ok()?;
        Some((head[3], u32::from_be_bytes([head[5], head[6], head[7], head[8]]), payload))
    };
    timeout(DEADLINE, read).await.expect("a frame, or the end")
}

/// Reads until a frame of this kind comes.
async fn until_frame(stream: &mut TcpStream, kind: u8) -> Option<Came> {
    loop {
        match next(stream).await {
            Some(came) if came.0 == kind => return Some(came),
            Some(_) => {}
            None => return None,
        }
    }
}

fn number_at(payload: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(payload[at..at + 4].try_into().unwrap())
}

async fn is_well(app: &TestApp) {
    assert_eq!(app.get("/health").await.status, 200);
    until(app, "tandem_http2_connections", 0).await;
}

#[tokio::test]
async fn requests_that_are_taken_back_at_once_end_the_connection() {
    let flood = |first: u32| -> Vec<u8> {
        let ids = (0..200).map(|number| first + 2 * number);
        ids.flat_map(|id| [get(id), take_back(id)].concat()).collect()
    };
    let app = TestApp::start().await;
    let mut stream = begin(&app, 65_535).await;
    stream.write_all(&flood(1)).await.unwrap();
    let (_, _, payload) = until_frame(&mut stream, GOAWAY).await.expect("a word before the end");
    assert_eq!(number_at(&payload, 4), ENHANCE_YOUR_CALM);
    is_well(&app).await;
    // The connection of a proxy is that of many clients, none of which ends it for the others.
    let app = TestApp::start_with(&[("TRUST_PROXY_HOPS", "1")]).await;
    let mut stream = begin(&app, 65_535).await;
    stream.write_all(&[flood(1), get(1_001)].concat()).await.unwrap();
    while until_frame(&mut stream, DATA).await.expect("an open connection").1 != 1_001 {}
}

/// Requests that are answered and then taken back together. Two such rounds within a second are too many, which a slow machine manages, too.
const TOGETHER: u32 = 90;
const IN_ALL: u32 = 22 * TOGETHER;

/// How many requests are answered, of those that are taken back before their answer is taken.
async fn taken_back(app: &TestApp) -> u32 {
    // Nobody takes the answers.
    let mut stream = begin(app, 0).await;
    for answered in (0..IN_ALL).step_by(TOGETHER as usize) {
        let each = |make: fn(u32) -> Vec<u8>| -> Vec<u8> {
            (answered..answered + TOGETHER).flat_map(|number| make(2 * number + 1)).collect()
        };
        if stream.write_all(&each(get)).await.is_err() {
            return answered;
        }
        for _ in 0..TOGETHER {
            if until_frame(&mut stream, HEADERS).await.is_none() {
                return answered;
            }
        }
        if stream.write_all(&each(take_back)).await.is_err() {
            return answered + TOGETHER;
        }
    }
    IN_ALL
}

#[tokio::test]
async fn requests_that_are_taken_back_after_their_answer_end_it_too() {
    let app = TestApp::start().await;
    let answered = taken_back(&app).await;
    assert!((101..IN_ALL).contains(&answered), "{answered}");
    is_well(&app).await;
    let app = TestApp::start_with(&[("TRUST_PROXY_HOPS", "1")]).await;
    assert_eq!(taken_back(&app).await, IN_ALL, "by a proxy");
}

#[tokio::test]
async fn a_head_without_end_is_cut_off() {
    let app = TestApp::start().await;
    // A header of 15 KB in each frame; nothing in them; and a byte in each.
    let header = [&[0, 1, b'a', 0x7f, 0x80 + 0x01, 0x74][..], &vec![b'b'; 15_000][..]].concat();
    for (payload, most) in [(&header[..], 1_000), (&[], 200_000), (&header[..1], 200_000)] {
        let mut stream = begin(&app, 65_535).await;
        stream.write_all(&frame(HEADERS, END_STREAM, 1, GET)).await.unwrap();
        let flood = frame(CONTINUATION, 0, 1, payload);
        let mut sent = 0;
        while sent < most && timeout(DEADLINE, stream.write_all(&flood)).await.expect("an end of the flood").is_ok() {
            sent += 1;
        }
        if let Some((_, _, payload)) = until_frame(&mut stream, GOAWAY).await {
            assert_ne!(number_at(&payload, 4), 0);
        }
        assert!(next(&mut stream).await.is_none());
        is_well(&app).await;
    }
}

/// CPU time of the node in seconds, asked for from another address.
async fn cpu(app: &TestApp) -> f64 {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.9:0".parse().unwrap()).unwrap();
    let mut stream = socket.connect(app.addr()).await.unwrap();
    let (_, metrics) = ask(&mut stream, "GET", "/metrics", &[]).await;
    let line = metrics.lines().find_map(|line| line.strip_prefix("process_cpu_seconds_total ")).expect("the metric");
    line.parse().unwrap()
}

#[tokio::test]
async fn frames_that_ask_for_nothing_are_at_the_expense_of_their_address() {
    const FLOOD: Duration = Duration::from_secs(3);
    let app = TestApp::start_with(&[("ADDRESS_CAPS", "cpu=20000")]).await;
    let (mut reader, mut writer) = begin(&app, 65_535).await.into_split();
    let pings = frame(PING, 0, 0, &[7; 8]).repeat(1_000);
    let mut nowhere = tokio::io::sink();
    let flood = async {
        tokio::join!(
            async { while writer.write_all(&pings).await.is_ok() {} },
            tokio::io::copy(&mut reader, &mut nowhere),
        )
    };
    let (begun, before) = (Instant::now(), cpu(&app).await);
    timeout(FLOOD, flood).await.expect_err("a flood without end");
    let used = cpu(&app).await - before;
    // On a busy machine it takes longer than that.
    let took = begun.elapsed().as_secs_f64();
    println!("{used} s of CPU time in {took} s");
    assert!(used < took * 0.4, "{used} s: it is not read as fast as it is sent");
    let mut other = connect(app.addr()).await;
    assert_eq!(status(&ask(&mut other, "GET", "/health", &[]).await.0), 429);
}

#[tokio::test]
async fn an_answer_that_is_not_taken_is_given_up_alone() {
    let app = TestApp::start_with(&[("HEADER_TIMEOUT_SECONDS", "1")]).await;
    let mut stream = begin(&app, 0).await;
    stream.write_all(&get(1)).await.unwrap();
    let begun = Instant::now();
    let (_, id, reason) = until_frame(&mut stream, RST_STREAM).await.expect("the connection lives on");
    assert_eq!((id, number_at(&reason, 0)), (1, CANCEL));
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
    let window = [&4_u16.to_be_bytes()[..], &65_535_u32.to_be_bytes()].concat();
    stream.write_all(&[frame(SETTINGS, 0, 0, &window), get(3)].concat()).await.unwrap();
    let (_, id, body) = until_frame(&mut stream, DATA).await.expect("an answer");
    assert!(id == 3 && !body.is_empty());
}

#[tokio::test]
async fn a_connection_carries_a_hundred_streams() {
    let app = TestApp::start().await;
    let mut stream = begin(&app, 65_535).await;
    let all: Vec<u8> = (0..120).flat_map(|number| socket(2 * number + 1)).collect();
    stream.write_all(&all).await.unwrap();
    let (mut opened, mut refused) = (0, 0);
    while opened + refused < 120 {
        match next(&mut stream).await.expect("an open connection") {
            (HEADERS, _, block) => {
                assert_eq!(block[0], 0x88, ":status 200");
                opened += 1;
            }
            (RST_STREAM, _, reason) => {
                assert_eq!(number_at(&reason, 0), REFUSED_STREAM);
                refused += 1;
            }
            _ => {}
        }
    }
    assert_eq!((opened, refused), (100, 20));
    until(&app, "tandem_connections", 100).await;
    drop(stream);
    until(&app, "tandem_connections", 0).await;
    is_well(&app).await;
}

#[tokio::test]
async fn a_connection_that_asks_for_nothing_ends() {
    let app = TestApp::start_with(&[("HEADER_TIMEOUT_SECONDS", "1"), ("KEEP_ALIVE_SECONDS", "2")]).await;
    let places = number(&app, "tandem_http_connections").await;
    // The preface alone, and with a head that has no end.
    for more in [vec![], frame(HEADERS, END_STREAM, 1, GET)] {
        let mut stream = begin(&app, 65_535).await;
        stream.write_all(&more).await.unwrap();
        let begun = Instant::now();
        while next(&mut stream).await.is_some() {}
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }
    // After an answer it is kept for a while, which pings do not make longer, and is told to leave.
    let mut stream = begin(&app, 65_535).await;
    stream.write_all(&get(1)).await.unwrap();
    until_frame(&mut stream, DATA).await.expect("an answer");
    let begun = Instant::now();
    let (mut reader, mut writer) = stream.into_split();
    let pinging = tokio::spawn(async move {
        while writer.write_all(&frame(PING, 0, 0, &[7; 8])).await.is_ok() {
            sleep(Duration::from_millis(200)).await;
        }
    });
    let mut rest = Vec::new();
    timeout(DEADLINE, reader.read_to_end(&mut rest)).await.expect("the end").ok();
    assert!(begun.elapsed() > Duration::from_millis(1_900), "{:?}", begun.elapsed());
    let goodbye = frame(GOAWAY, 0, 0, &[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
    assert!(rest.windows(goodbye.len()).any(|part| part == goodbye), "{rest:?}");
    pinging.await.unwrap();
    until(&app, "tandem_http_connections", places).await;
}
