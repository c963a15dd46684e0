//! Libraries of others that can do no more than open a URL, over two nodes of which the one that they are on is killed.
//! `npm ci --prefix tests/clients` installs those of JavaScript.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tandem_testkit::{
    Client, TestApp,
    backing::NO_DATABASE,
    process::{DEADLINE, Process, free_port, listens, program, wait_for},
    redis::Redis,
};
use tokio::time::sleep;

use crate::nodes::Nodes;

/// The blocks of code that the document has for libraries: a client that resumes, and the lines that stop one.
fn documented() -> [String; 2] {
    let document = include_str!("../../docs/protocol.md");
    let (_, section) = document.split_once("### Libraries that reconnect\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let blocks: Vec<_> = section.split("```js\n").skip(1).map(|it| it.split("```").next().unwrap()).collect();
    let [client, stop] = blocks[..] else { panic!("two blocks: {blocks:?}") };
    [client.to_owned(), stop.to_owned()]
}

const FIXED: &str = "const socket = new ReconnectingWebSocket(address);\n";

/// A library in a process of its own, and what it has printed.
struct Member {
    dir: tempfile::TempDir,
    _process: Process,
}

impl Member {
    fn start(mut command: Command, dir: tempfile::TempDir) -> Self {
        let process = Process::start(&mut command, &dir.path().join("out"));
        Self { dir, _process: process }
    }

    /// One of JavaScript: `code` makes a socket with it.
    fn script(library: &str, code: &str, address: &str) -> Self {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
        let package = library.split('/').next().unwrap();
        assert!(scripts.join("node_modules").join(package).is_dir(), "{package}: run npm ci --prefix tests/clients");
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("code.js");
        std::fs::write(&file, code).unwrap();
        let mut command = Command::new(program("node", &[]));
        // Each of them gets another WebSocket: that of Node.js itself, if it has one, or that of `ws`.
        if library != "partysocket/ws" {
            command.env("WEBSOCKET", "ws");
        } else if knows_flag("--experimental-websocket") {
            command.arg("--experimental-websocket");
        }
        command.arg(scripts.join("member.mjs")).arg(library).arg(file).arg(address);
        Self::start(command, dir)
    }

    fn websocat(address: &str) -> Self {
        let cargo = std::env::var("CARGO_HOME").map_or_else(|_| home().join(".cargo"), PathBuf::from).join("bin");
        let mut command = Command::new(program("websocat", &[cargo.to_str().unwrap()]));
        // Its own input has ended, and it stays.
        command.args(["-t", "--no-close", "--unidirectional-reverse", "-"]).arg(format!("autoreconnect:{address}"));
        Self::start(command, tempfile::tempdir().unwrap())
    }

    fn output(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("out")).unwrap()
    }

    /// The frames among what it has printed.
    fn frames(&self) -> Vec<Value> {
        let output = self.output();
        // The last line may be half written.
        let (whole, _) = output.rsplit_once('\n').unwrap_or_default();
        whole.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).collect()
    }

    async fn until(&self, what: &str, mut done: impl FnMut(&[Value]) -> bool) {
        let begun = Instant::now();
        while !done(&self.frames()) {
            assert!(begun.elapsed() < DEADLINE, "{what}:\n{}", self.output());
            sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Whether Node.js has a flag.
fn knows_flag(flag: &str) -> bool {
    let ask = format!("process.allowedNodeEnvironmentFlags.has('{flag}')");
    let output = Command::new(program("node", &[])).args(["-p", &ask]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim() == "true"
}

fn home() -> PathBuf {
    std::env::var("HOME").map_or_else(|_| "/root".into(), PathBuf::from)
}

/// Frames of this type.
fn of<'a>(frames: &'a [Value], kind: &str) -> Vec<&'a Value> {
    frames.iter().filter(|frame| frame["type"] == kind).collect()
}

/// The codes with which its sockets were closed.
fn codes(frames: &[Value]) -> Vec<u64> {
    of(frames, "(close)").into_iter().map(|frame| frame["code"].as_u64().unwrap()).collect()
}

fn numbers(frames: &[Value]) -> Vec<u64> {
    of(frames, "BROADCAST").into_iter().map(|frame| frame["data"].as_u64().unwrap()).collect()
}

/// Two nodes behind HAProxy.
struct Pair {
    nodes: Nodes,
    port: u16,
    _redis: Redis,
    _balancer: Process,
    _dir: tempfile::TempDir,
}

impl Pair {
    async fn start() -> Self {
        let redis = Redis::start();
        let nodes =
            Nodes::start(2, &[("REDIS_URL", &redis.url()), ("DATABASE_URL", NO_DATABASE), ("TRUST_PROXY_HOPS", "1")])
                .await;
        let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
        let config = format!(
            "defaults\n mode http\n option forwardfor\n timeout connect 1s\n timeout client 60s\n timeout server 60s\n\
             timeout tunnel 1h\n retries 3\n option redispatch 1\n retry-on conn-failure empty-response 503\n\
             frontend edge\n bind 127.0.0.1:{port}\n default_backend nodes\n\
             backend nodes\n balance roundrobin\n option httpchk GET /ready\n\
             server zero {} check inter 200ms\n server one {} check inter 200ms\n",
            nodes.addr(0),
            nodes.addr(1)
        );
        let file = dir.path().join("haproxy.cfg");
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new(program("haproxy", &["/usr/sbin"]));
        command.arg("-db").arg("-f").arg(&file);
        let balancer = Process::start(&mut command, &dir.path().join("log"));
        wait_for("HAProxy does not listen", || listens(port));
        Self { nodes, port, _redis: redis, _balancer: balancer, _dir: dir }
    }

    fn address(&self, query: &str) -> String {
        format!("ws://127.0.0.1:{}/ws{query}", self.port)
    }

    /// Kills the node that the member is on while somebody else counts aloud. Returns what it has heard when it has come back on the other
    /// node and heard thirty more.
    async fn outlived_by(&mut self, member: &Member, back: &str, times: usize) -> (Vec<Value>, u64) {
        member.until("it comes in", |frames| !of(frames, "ROOM_STATE").is_empty()).await;
        let its = of(&member.frames(), "ROOM_STATE")[0]["nodeId"].clone();
        let its = usize::from(its == "node-1");
        let mut other = Client::connect_to(self.nodes.addr(1 - its)).await;
        other.enter("film", "ben", json!({"features": ["ack"]})).await;
        let begun = Instant::now();
        let (mut said, mut last) = (0, None);
        while last != Some(said) {
            said += 1;
            other.send(json!({"type": "BROADCAST", "event": "number", "data": said})).await;
            other.until("BROADCAST").await;
            if said == 30 {
                member.until("it hears", |frames| numbers(frames).len() > 5).await;
                self.nodes.kill(its);
            }
            if last.is_none() && said > 30 && of(&member.frames(), back).len() == times {
                last = Some(said + 30);
            }
            assert!(begun.elapsed() < DEADLINE, "it does not come back:\n{}", member.output());
            sleep(Duration::from_millis(30)).await;
        }
        member.until("it hears the last one", |frames| numbers(frames).last() == Some(&said)).await;
        self.nodes.until_metric(1 - its, "tandem_connections", 2.0).await;
        (member.frames(), said)
    }

    /// A member with a fixed URL: in again on the other node, at once, and it hears the rest.
    async fn joined_anew_by(&mut self, member: &Member) {
        let (frames, said) = self.outlived_by(member, "ROOM_STATE", 2).await;
        let states = of(&frames, "ROOM_STATE");
        assert_ne!(states[0]["nodeId"], states[1]["nodeId"]);
        assert_eq!(states[0]["epoch"], states[1]["epoch"], "it is the same room");
        assert!(of(&frames, "ERROR").is_empty(), "{frames:?}");
        let place = frames.iter().rposition(|frame| frame["type"] == "ROOM_STATE").unwrap();
        let (before, after) = (numbers(&frames[..place]), numbers(&frames[place..]));
        assert!(before.iter().copied().eq(1..=before.len() as u64), "{before:?}");
        assert!(after[0] > before.len() as u64, "nothing twice: {before:?} {after:?}");
        assert!(after.iter().copied().eq(after[0]..=said), "{after:?}");
    }

    /// A member whose URL has its seat: it heard everything, once.
    async fn resumed_by(&mut self, member: &Member) {
        let (frames, said) = self.outlived_by(member, "RESUMED", 1).await;
        assert_eq!((of(&frames, "ROOM_STATE").len(), of(&frames, "RESUMED").len()), (1, 1), "{frames:?}");
        assert!(numbers(&frames).into_iter().eq(1..=said), "{:?}", numbers(&frames));
        assert!(of(&frames, "ERROR").is_empty() && of(&frames, "DISCONTINUITY").is_empty(), "{frames:?}");
        let replayed = of(&frames, "RESUMED")[0]["replayed"].as_u64();
        assert!(replayed > Some(0), "something was missed, or this test shows nothing: {replayed:?}");
    }
}

const FILM: &str = "?room=film&user=ana&features=ack&refuse=close";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partysocket_joins_anew_by_a_fixed_url() {
    let mut pair = Pair::start().await;
    let member = Member::script("partysocket/ws", FIXED, &pair.address(FILM));
    pair.joined_anew_by(&member).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partysocket_resumes_by_the_lines_of_the_document() {
    let mut pair = Pair::start().await;
    let member = Member::script("partysocket/ws", &documented().concat(), &pair.address(""));
    pair.resumed_by(&member).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reconnecting_websocket_joins_anew_by_a_fixed_url() {
    let mut pair = Pair::start().await;
    let member = Member::script("reconnecting-websocket", FIXED, &pair.address(FILM));
    pair.joined_anew_by(&member).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reconnecting_websocket_resumes_by_the_lines_of_the_document() {
    let mut pair = Pair::start().await;
    let member = Member::script("reconnecting-websocket", &documented().concat(), &pair.address(""));
    pair.resumed_by(&member).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn websocat_comes_back_on_the_other_node() {
    let mut pair = Pair::start().await;
    let member = Member::websocat(&pair.address(FILM));
    pair.joined_anew_by(&member).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lines_of_the_document_stop_a_library_at_a_final_code() {
    let settings = [
        ("AUTH_MODE", "token"),
        ("AUTH_KEYS", "HS256:a-key-that-nobody-else-has-got-here"),
        ("AUTH_URL_TOKEN", "true"),
    ];
    let (calm, storm) = (TestApp::start_with(&settings).await, TestApp::start_with(&settings).await);
    let at = |app: &TestApp| format!("ws://{}/ws?room=film&user=ana&token=x.y.z&refuse=close", app.addr());
    let [_, stop] = documented();
    let libraries = ["partysocket/ws", "reconnecting-websocket"];
    let stopped = libraries.map(|library| Member::script(library, &format!("{FIXED}{stop}"), &at(&calm)));
    for member in &stopped {
        member.until("it is refused", |frames| !codes(frames).is_empty()).await;
    }
    // Without these lines they knock on and on: after as long, a library that goes on has come twice.
    let others = libraries.map(|library| Member::script(library, FIXED, &at(&storm)));
    // What answers a LEAVE is final as well.
    let open = TestApp::start().await;
    let leaves = r#"socket.addEventListener("open", () => socket.send('{"type":"LEAVE"}'));"#;
    let code = format!("{FIXED}{stop}{leaves}");
    let leaver = |library: &str| format!("ws://{}/ws?room=film&user={}&features=", open.addr(), library.len());
    let left = libraries.map(|library| Member::script(library, &code, &leaver(library)));
    for member in &others {
        member.until("it comes again", |frames| codes(frames).len() >= 2).await;
    }
    for member in &stopped {
        let frames = member.frames();
        assert_eq!(codes(&frames), [4501], "{frames:?}");
        assert_eq!(of(&frames, "ERROR")[0]["code"], "unauthorized");
    }
    for member in &left {
        member.until("it leaves", |frames| !codes(frames).is_empty()).await;
        let frames = member.frames();
        assert_eq!(codes(&frames), [1000], "{frames:?}");
    }
    assert_eq!(refused(&calm).await, libraries.len() as u64, "each came once");
    assert!(refused(&storm).await >= 2 * libraries.len() as u64);
}

async fn refused(app: &TestApp) -> u64 {
    let metrics = app.get("/metrics").await.body;
    let line = metrics.lines().find_map(|line| line.strip_prefix("tandem_upgrades_refused_total{reason=\"token\"} "));
    line.unwrap_or_else(|| panic!("{metrics}")).parse().unwrap()
}
