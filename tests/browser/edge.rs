//! The page over wss, through Caddy with the very file of the deployment, on two nodes of a cluster.

use std::{fs, path::Path, process::Command};

use crate::{
    party::{PIN, Party},
    server::Server,
};
use tandem_testkit::{
    process::{Process, free_port, listens, program, wait_for},
    redis::Redis,
};

/// TLS with an authority of its own.
fn caddy(nodes: &[&Server], dir: &Path) -> (Process, String) {
    let port = free_port();
    let file = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("compose/Caddyfile")).unwrap();
    // Nothing of this machine is touched: no port 80, no list of authorities.
    let file = file.replace("admin off", "admin off\n\tauto_https disable_redirects\n\tskip_install_trust");
    fs::write(dir.join("Caddyfile"), file).unwrap();
    let mut command = Command::new(program("caddy", &[]));
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(dir.join("Caddyfile"));
    let nodes: Vec<_> = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port())).collect();
    command.env("SITE", format!("https://localhost:{port}")).env("NODES", nodes.join(" "));
    command.env("XDG_DATA_HOME", dir).env("XDG_CONFIG_HOME", dir);
    let process = Process::start(&mut command, &dir.join("log"));
    wait_for("Caddy does not listen", || listens(port));
    (process, format!("https://localhost:{port}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn two_browsers_meet_over_wss_on_two_nodes_and_one_node_dies() {
    let redis = Redis::start();
    let url: &'static str = redis.url().leak();
    let settings = [("REDIS_URL", url), ("TANDEM_SECRET", "only for tests of the edge"), ("TRUST_PROXY_HOPS", "1")];
    let party = Party::new(&settings).await;
    let north = &party.server;
    let south = Server::start(&settings);
    let dir = tempfile::tempdir().unwrap();
    // Caddy takes a node for well until it finds that it is not.
    wait_for("the nodes are not ready", || north.is_ready() && south.is_ready());
    let (_caddy, edge) = caddy(&[north, &south], dir.path());

    let ana = party.host_at(&edge, "Ana", "film-night").await;
    let link = ana.invitation().await;
    assert!(link.starts_with(&format!("{edge}/room/")) && link.ends_with(PIN), "{link}");
    let bo = party.guest("Bo", &link).await;
    for one in [&ana, &bo] {
        one.sees(&["Ana", "Bo"]).await;
        one.sees_host("Ana").await;
    }
    let sockets = |server: &Server| server.metric("tandem_connections").to_string();
    assert_eq!((sockets(north), sockets(&south)), ("1".to_owned(), "1".to_owned()), "Caddy spreads them");
    // Frames between the two browsers pass through both nodes.
    ana.page.click("picture-button").await;
    bo.page.until_visible("test-picture").await;
    ana.page.click("play-button").await;
    bo.page.until("the film runs at the guest's", "tandem.playing() && tandem.position() > 0.5").await;

    drop(south);
    // A page that has not heard of it yet still calls itself live: the node knows who has come over.
    wait_for("nobody came over from the node that died", || sockets(north) == "2");
    for one in [&ana, &bo] {
        let whole = "tandem.state() === 'live' && tandem.roster().length === 2 && tandem.playing()";
        one.page.until("everybody is in the room again, and the film is on", whole).await;
        one.sees(&["Ana", "Bo"]).await;
    }
    ana.page.click("play-button").await;
    bo.page.until("the host has paused it", "!tandem.playing()").await;
}
