//! TLS of the node itself: on the port of everything else, with a certificate that is replaced while sockets are open.

use std::{
    fs, io,
    net::{IpAddr, SocketAddr, UdpSocket},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures_util::{SinkExt, StreamExt};
use rustls::{
    ClientConfig, RootCertStore, SupportedProtocolVersion,
    client::Resumption,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
    version::{TLS12, TLS13},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::{Instant, sleep, timeout},
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_tungstenite::{WebSocketStream, client_async, tungstenite::Message};

use super::{ask, connect, status};
use tandem_testkit::{Client, DEADLINE, TestApp, certificates::Certificates};

/// Certificates in a folder of their own.
pub(super) fn certificates() -> (TempDir, Certificates) {
    let dir = tempfile::tempdir().unwrap();
    let made = Certificates::make(dir.path());
    (dir, made)
}

/// A client that trusts one authority, and takes no session up again.
fn connector(ca: &str, versions: &[&'static SupportedProtocolVersion]) -> TlsConnector {
    with_protocols(ca, versions, &[b"http/1.1"])
}

/// The same with these protocols, by preference.
pub(super) fn connector_for(ca: &str, protocols: &[&[u8]]) -> TlsConnector {
    with_protocols(ca, &[&TLS13], protocols)
}

fn with_protocols(ca: &str, versions: &[&'static SupportedProtocolVersion], protocols: &[&[u8]]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    config.resumption = Resumption::disabled();
    Arc::new(config).into()
}

pub(super) async fn over(stream: TcpStream, connector: &TlsConnector) -> io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from("localhost").unwrap();
    timeout(DEADLINE, connector.connect(name, stream)).await.expect("a handshake in time")
}

async fn encrypted(addr: SocketAddr, connector: &TlsConnector) -> TlsStream<TcpStream> {
    over(connect(addr).await, connector).await.unwrap()
}

fn settings(made: &Certificates) -> [(&str, &str); 2] {
    [("TLS_CERT_FILE", &made.certificate), ("TLS_KEY_FILE", &made.key)]
}

pub(super) async fn with_tls(made: &Certificates, more: &[(&str, &str)]) -> TestApp {
    TestApp::start_with(&[&settings(made), more].concat()).await
}

pub(super) async fn number(app: &TestApp, name: &str) -> u64 {
    let metrics = app.get("/metrics").await.body;
    let line = metrics.lines().find_map(|line| line.strip_prefix(&format!("{name} "))).expect("the metric");
    line.parse().unwrap()
}

/// A socket that joined a room.
struct Wss(WebSocketStream<TlsStream<TcpStream>>);

impl Wss {
    async fn join(addr: SocketAddr, connector: &TlsConnector, room: &str, user: &str) -> Self {
        let stream = encrypted(addr, connector).await;
        let (socket, _) = client_async("wss://localhost/ws", stream).await.unwrap();
        let mut it = Self(socket);
        it.send(&json!({"type": "JOIN", "roomId": room, "userId": user, "features": []})).await;
        it.until("ROOM_STATE").await;
        it
    }

    async fn send(&mut self, frame: &Value) {
        self.0.send(Message::text(frame.to_string())).await.unwrap();
    }

    async fn until(&mut self, kind: &str) -> Value {
        let frames = async {
            loop {
                let message = self.0.next().await.expect("an open socket").unwrap();
                let Message::Text(text) = message else { continue };
                let frame: Value = serde_json::from_str(&text).unwrap();
                if frame["type"] == kind {
                    return frame;
                }
            }
        };
        timeout(DEADLINE, frames).await.unwrap_or_else(|_| panic!("no {kind}"))
    }
}

/// The certificate that a new client gets.
async fn presented(addr: SocketAddr, connector: &TlsConnector) -> Vec<u8> {
    let stream = encrypted(addr, connector).await;
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

fn first_of(file: &str) -> Vec<u8> {
    CertificateDer::from_pem_file(file).unwrap().to_vec()
}

#[tokio::test]
async fn one_port_speaks_both() {
    let (_dir, made) = certificates();
    let app = with_tls(&made, &[]).await;
    for version in [&TLS12, &TLS13] {
        let connector = connector(&made.ca, &[version]);
        let mut stream = encrypted(app.addr(), &connector).await;
        assert_eq!(stream.get_ref().1.protocol_version(), Some(version.version));
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
        for _ in 0..3 {
            let (head, body) = ask(&mut stream, "GET", "/health", &[]).await;
            assert!(status(&head) == 200 && body.contains("ok"), "{head}");
        }
        let (_, body) = ask(&mut stream, "GET", "/api/short-id/room", &[]).await;
        assert!(body.contains("\"shortUrl\":\"https://x/"), "a link leads where the client came from: {body}");
    }
    let mut plain = Client::join(&app, "room", "ana").await;
    let mut secure = Wss::join(app.addr(), &connector(&made.ca, &[&TLS13]), "room", "ben").await;
    let joined = plain.expect("USER_JOINED").await;
    assert_eq!(joined["userId"], "ben");
    secure.send(&json!({"type": "BROADCAST", "event": "hello", "data": "x".repeat(40_000)})).await;
    let heard = plain.expect("BROADCAST").await;
    assert_eq!(heard["data"].as_str().unwrap().len(), 40_000);
    plain.send(json!({"type": "BROADCAST", "event": "back", "data": "y".repeat(40_000)})).await;
    while secure.until("BROADCAST").await["event"] != "back" {}
    assert_eq!(number(&app, "tandem_tls_handshakes_total{outcome=\"done\"}").await, 3);
    // Whoever does not trust the authority says so, and is counted.
    let (_other, stranger) = certificates();
    over(connect(app.addr()).await, &connector(&stranger.ca, &[&TLS13])).await.unwrap_err();
    let failed = "tandem_tls_handshakes_total{outcome=\"failed\"}";
    timeout(DEADLINE, async { while number(&app, failed).await != 1 {} }).await.expect("a failure that is counted");
}

/// The files as Kubernetes lays them out: links to a link to a folder, which is exchanged.
struct Mounted {
    dir: TempDir,
    versions: u32,
}

impl Mounted {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["tls.crt", "tls.key"] {
            symlink(Path::new("..data").join(name), dir.path().join(name)).unwrap();
        }
        Self { dir, versions: 0 }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn put(&mut self, certificate: &str, key: &str) {
        self.versions += 1;
        let folder = format!("..version{}", self.versions);
        fs::create_dir(self.path(&folder)).unwrap();
        fs::copy(certificate, self.path(&folder).join("tls.crt")).unwrap();
        fs::copy(key, self.path(&folder).join("tls.key")).unwrap();
        symlink(&folder, self.path("..data_tmp")).unwrap();
        fs::rename(self.path("..data_tmp"), self.path("..data")).unwrap();
    }
}

#[tokio::test]
async fn a_certificate_is_replaced_and_no_socket_notices() {
    let ((_a, first), (_b, second), (dir, third)) = (certificates(), certificates(), certificates());
    let mut mounted = Mounted::new();
    mounted.put(&first.certificate, &first.key);
    let (crt, key) = (mounted.path("tls.crt"), mounted.path("tls.key"));
    let paths = [("TLS_CERT_FILE", crt.to_str().unwrap()), ("TLS_KEY_FILE", key.to_str().unwrap())];
    let app = TestApp::start_with(&paths).await;
    let (old, new) = (connector(&first.ca, &[&TLS13]), connector(&second.ca, &[&TLS13]));
    let mut socket = Wss::join(app.addr(), &old, "room", "ana").await;
    assert_eq!(presented(app.addr(), &old).await, first_of(&first.certificate));
    let begun = number(&app, "tandem_tls_certificate_expiry_timestamp_seconds").await;
    let in_two_days = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() + 172_800;
    assert!(begun.abs_diff(in_two_days) < 600, "{begun}");

    mounted.put(&second.certificate, &second.key);
    let until = async |connector: &TlsConnector| {
        let begun = Instant::now();
        while over(connect(app.addr()).await, connector).await.is_err() {
            assert!(begun.elapsed() < DEADLINE, "the new certificate is not served");
            sleep(Duration::from_millis(20)).await;
        }
    };
    until(&new).await;
    assert_eq!(presented(app.addr(), &new).await, first_of(&second.certificate));
    let loaded = "tandem_tls_reloads_total{outcome=\"loaded\"}";
    assert_eq!(number(&app, loaded).await, 1);

    // One that does not fit, and one that cannot be read.
    let refused = "tandem_tls_reloads_total{outcome=\"refused\"}";
    mounted.put(&third.certificate, &second.key);
    app.until_it_says("is not the certificate of the key").await;
    assert_eq!(number(&app, refused).await, 1);
    sleep(Duration::from_secs(5)).await;
    let told = app.log_lines().into_iter().filter(|line| line["msg"].to_string().contains("cannot be used")).count();
    assert_eq!((told, number(&app, refused).await), (1, 1), "it is said once");
    fs::remove_file(&key).unwrap();
    app.until_it_says("cannot be read").await;
    symlink(Path::new("..data").join("tls.key"), &key).unwrap();
    Certificates::expire(dir.path());
    mounted.put(&third.certificate, &third.key);
    app.until_it_says("has expired").await;
    assert_eq!(number(&app, refused).await, 3);
    assert_eq!(presented(app.addr(), &new).await, first_of(&second.certificate), "the old one is in use");

    // Files that take the place of links, and a node that is told.
    let fourth = Certificates::make(dir.path());
    let newest = connector(&fourth.ca, &[&TLS13]);
    for (from, to) in [(&fourth.certificate, &crt), (&fourth.key, &key)] {
        let beside = mounted.path("new");
        fs::copy(from, &beside).unwrap();
        fs::rename(&beside, to).unwrap();
    }
    app.sighup().await;
    until(&newest).await;
    assert_eq!(presented(app.addr(), &newest).await, first_of(&fourth.certificate));
    assert_eq!(number(&app, loaded).await, 2);

    // The first socket is as it was.
    socket.send(&json!({"type": "BROADCAST", "event": "still", "data": 1})).await;
    socket.send(&json!({"type": "PING", "t0": 1})).await;
    socket.until("PONG").await;
}

#[tokio::test]
async fn what_is_wrong_with_a_certificate_is_told_at_the_start() {
    let ((dir, made), (_other, other)) = (certificates(), certificates());
    let app = TestApp::start().await;
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (empty, nonsense) =
        (file("empty", ""), file("nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"));
    for (certificate, key, says) in [
        ("/nowhere/tls.crt", &*made.key, "TLS_CERT_FILE /nowhere/tls.crt cannot be read: No such file"),
        (&*made.certificate, "/nowhere/tls.key", "TLS_KEY_FILE /nowhere/tls.key cannot be read: No such file"),
        (&*empty, &*made.key, "empty has no certificate"),
        (&*made.key, &*made.key, "key.pem has no certificate"),
        (&*nonsense, &*made.key, "nonsense has a certificate that cannot be understood"),
        (&*made.certificate, &*empty, "empty has no key that can be used"),
        (&*made.certificate, &*other.key, "certificate.pem is not the certificate of the key in TLS_KEY_FILE"),
    ] {
        let flags = ["serve", "--port", "0", "--tls-cert-file", certificate, "--tls-key-file", key];
        let ended = app.run(&flags).await;
        assert_eq!(ended.code, Some(1), "{says}: {ended:?}");
        assert!(ended.stderr.contains(says) || ended.stdout.contains(says), "{says}: {ended:?}");
    }
    for flags in [["--tls-cert-file", &*made.certificate], ["--tls-key-file", &*made.key], ["--tls-only", "true"]] {
        let ended = app.run(&[&["serve", "--port", "0"][..], &flags].concat()).await;
        assert_eq!(ended.code, Some(64), "one without the other: {ended:?}");
        let other = if flags[0] == "--tls-cert-file" { "TLS_KEY_FILE" } else { "TLS_CERT_FILE" };
        assert!(ended.stderr.contains(&format!("{other} is missing")), "{ended:?}");
    }
}

#[tokio::test]
async fn a_handshake_has_a_deadline_and_is_a_connection() {
    let (_dir, made) = certificates();
    let app = with_tls(&made, &[("HEADER_TIMEOUT_SECONDS", "1")]).await;
    let open = async |first: &[u8]| {
        let mut stream = connect(app.addr()).await;
        stream.write_all(first).await.unwrap();
        stream
    };
    let before = number(&app, "tandem_http_connections").await;
    // The beginning of a record; and a handshake that is done, with no request after it.
    let mut silent = vec![];
    for _ in 0..20 {
        silent.push(open(&[0x16, 3, 1, 2, 0, 1]).await);
    }
    let mut idle = encrypted(app.addr(), &connector(&made.ca, &[&TLS13])).await;
    assert_eq!(number(&app, "tandem_http_connections").await, before + 21);
    let begun = Instant::now();
    for stream in &mut silent {
        let _ = timeout(DEADLINE, stream.read_to_end(&mut Vec::new())).await.expect("the end of a silent connection");
    }
    let _ =
        timeout(DEADLINE, idle.read_to_end(&mut Vec::new())).await.expect("the end of a connection without a request");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    timeout(DEADLINE, async { while number(&app, "tandem_http_connections").await > before {} })
        .await
        .expect("free places");
}

#[tokio::test]
async fn a_handshake_is_at_the_expense_of_its_address() {
    let (_dir, made) = certificates();
    // A signature takes more than that.
    let app = with_tls(&made, &[("ADDRESS_CAPS", "cpu=100")]).await;
    let connector = connector(&made.ca, &[&TLS13]);
    let mut first = encrypted(app.addr(), &connector).await;
    // The handshake is charged before a request is answered, whatever the answer is.
    ask(&mut first, "GET", "/health", &[]).await;
    over(connect(app.addr()).await, &connector).await.expect_err("the account is in debt");
    // Another address has an account of its own.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.9:0".parse().unwrap()).unwrap();
    over(socket.connect(app.addr()).await.unwrap(), &connector).await.unwrap();
}

#[tokio::test]
async fn a_proxy_header_comes_before_the_handshake() {
    let (_dir, made) = certificates();
    let app = with_tls(&made, &[("PROXY_PROTOCOL_FROM", "127.0.0.2")]).await;
    // With the handshake in the same packet or in another one, and before plain HTTP.
    for (client, pause, plain) in [("192.0.2.7", 0, false), ("192.0.2.8", 100, false), ("192.0.2.9", 100, true)] {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        let mut stream = socket.connect(app.addr()).await.unwrap();
        stream.write_all(format!("PROXY TCP4 {client} 10.0.0.1 80 443\r\n").as_bytes()).await.unwrap();
        sleep(Duration::from_millis(pause)).await;
        let (head, _) = if plain {
            ask(&mut stream, "GET", "/ws", &[]).await
        } else {
            let mut stream = over(stream, &connector(&made.ca, &[&TLS13])).await.unwrap();
            ask(&mut stream, "GET", "/ws", &[]).await
        };
        assert_eq!(status(&head), 426, "{head}");
        app.log_line(json!({"msg": "upgrade refused", "client": client})).await;
    }
}

/// An address of this machine that is not its loopback's.
fn own_address() -> IpAddr {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    // Nothing is sent: the system only looks which way it would go.
    socket.connect("192.0.2.1:9").expect("a network");
    socket.local_addr().unwrap().ip()
}

#[tokio::test]
async fn where_tls_is_asked_for_only_this_machine_may_do_without() {
    let (_dir, made) = certificates();
    let app = with_tls(&made, &[("TLS_ONLY", "true"), ("HOST", "0.0.0.0")]).await;
    let outside = SocketAddr::new(own_address(), app.addr().port());
    let mut plain = connect(outside).await;
    let (head, body) = ask(&mut plain, "GET", "/health", &[]).await;
    assert!(status(&head) == 400 && body.contains("https://"), "{head}{body}");
    let mut secure = encrypted(outside, &connector(&made.ca, &[&TLS13])).await;
    assert_eq!(status(&ask(&mut secure, "GET", "/health", &[]).await.0), 200);
    let port = app.addr().port();
    let mut inside = connect(([127, 0, 0, 1], port).into()).await;
    assert_eq!(status(&ask(&mut inside, "GET", "/health", &[]).await.0), 200, "as the health check of a container");
    assert!(app.get("/metrics").await.body.contains("tandem_tls_handshakes_total{outcome=\"plain\"} 1"));
}
