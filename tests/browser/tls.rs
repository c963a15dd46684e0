//! The page over wss, on a node that speaks TLS itself.

use crate::party::Party;
use tandem_testkit::certificates::Certificates;

#[tokio::test(flavor = "multi_thread")]
async fn two_browsers_meet_over_wss_on_the_node_itself() {
    let dir = tempfile::tempdir().unwrap();
    let made = Certificates::make(dir.path());
    let (certificate, key): (&'static str, &'static str) = (made.certificate.leak(), made.key.leak());
    let party = Party::new(&[("TLS_CERT_FILE", certificate), ("TLS_KEY_FILE", key)]).await;
    let node = party.server.url().replace("http://", "https://");

    let ana = party.host_at(&node, "Ana", "film-night").await;
    let link = ana.invitation().await;
    assert!(link.starts_with(&format!("{node}/room/")), "{link}");
    let bo = party.guest("Bo", &link).await;
    for one in [&ana, &bo] {
        one.sees(&["Ana", "Bo"]).await;
        assert_eq!(one.page.eval("location.protocol").await, "https:");
    }
    assert_eq!(party.server.metric("tandem_connections").to_string(), "2");
    // Chromium opens the socket on the connection that the page came over, if the node says that it may.
    assert_eq!(party.server.metric("tandem_http2_websockets_opened_total").to_string(), "2");
    ana.page.click("picture-button").await;
    bo.page.until_visible("test-picture").await;
    ana.page.click("play-button").await;
    bo.page.until("the film runs at the guest's", "tandem.playing() && tandem.position() > 0.5").await;
}
