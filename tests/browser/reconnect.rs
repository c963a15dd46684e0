use crate::{
    audit,
    page::{Page, one},
    party::{Guest, Party},
    server::Server,
    wire::Wire,
};
use tandem_testkit::process::wait_for;

async fn until_state(page: &Page, state: &str) {
    let expression = format!("{}.dataset.state === '{state}' && tandem.state() === '{state}'", one("connection-state"));
    page.until(&format!("the connection is {state}"), &expression).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_drop_is_no_farewell() {
    let party = Party::new(&[]).await;
    let ana = party.host("Ana", "film-night").await;
    let wire = Wire::to(party.server.port());
    let link = ana.invitation().await.replace(&party.server.url(), &wire.url());
    let bo = party.guest("Bo", &link).await;
    ana.sees(&["Ana", "Bo"]).await;
    let (bo_id, ana_id) = (bo.user_id().await, ana.user_id().await);
    ana.page.click("picture-button").await;
    bo.page.until_visible("test-picture").await;

    let row = format!("document.querySelector('[data-testid=\"member\"][data-user-id=\"{bo_id}\"]')");
    ana.page.eval(&format!("window.rowBefore = {row}; true")).await;
    wire.cut();
    ana.page.until("the other is shown as away", &format!("{row}.dataset.state === 'away'")).await;
    until_state(&bo.page, "waiting").await;
    // Missed changes are announced afterwards.
    ana.page.click("play-button").await;
    ana.page.until("it plays", "tandem.playing()").await;

    audit::until_told(&party.server, "film-night", &[("PLAY_PAUSE", ana_id.as_str())]).await;
    wire.mend();
    until_state(&bo.page, "live").await;
    bo.sees(&["Ana", "Bo"]).await;
    ana.sees(&["Ana", "Bo"]).await;
    bo.page.until("what was missed has come", "tandem.playing() && tandem.position() > 0").await;
    assert!(ana.page.eval(&format!("window.rowBefore === {row}")).await == true, "the other's row never went away");

    let wanted = [("MEMBER_AWAY", bo_id.as_str()), ("PLAY_PAUSE", ana_id.as_str()), ("MEMBER_BACK", bo_id.as_str())];
    let told = audit::until_told(&party.server, "film-night", &wanted).await;
    let of_bo: Vec<&str> = told.iter().filter(|(_, user)| *user == bo_id).map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(of_bo, ["USER_JOINED", "MEMBER_AWAY", "MEMBER_BACK"], "a resumed seat: one join, no leave");
    ana.assert_content();
    bo.assert_content();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_comes_back_by_itself_when_the_server_was_restarted() {
    comes_back(Server::restart).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_comes_back_by_itself_when_the_server_crashed() {
    comes_back(Server::crash).await;
}

async fn comes_back(fall: fn(&mut Server)) {
    // However long it takes until the host is back.
    let mut party = Party::new(&[("HOST_GRACE_SECONDS", "60")]).await;
    let (ana, bo) = party.two("film-night").await;
    ana.page.click("picture-button").await;
    bo.page.until_visible("test-picture").await;
    ana.page.click("play-button").await;
    bo.page.until("it plays", "tandem.playing() && tandem.position() > 0.2").await;
    // A crash may take with it what was not written yet.
    audit::until_told(&party.server, "film-night", &[("PLAY_PAUSE", &ana.user_id().await)]).await;

    fall(&mut party.server);
    // A page that has not heard of it yet still calls itself live.
    wait_for("they did not come back", || party.server.metric("tandem_connections") > 1.5);
    for one in [&ana, &bo] {
        until_state(&one.page, "live").await;
    }
    both_are_back(&ana, &bo).await;
    ana.page.click("play-button").await;
    for one in [&ana, &bo] {
        one.page.until("the film obeys again", "!tandem.playing()").await;
    }
    ana.assert_content();
    bo.assert_content();
}

/// Names in any order (who came back first sits first), and the host is who it was.
async fn both_are_back(ana: &Guest, bo: &Guest) {
    let ana_id = ana.user_id().await;
    for guest in [ana, bo] {
        let both = "JSON.stringify(tandem.roster().map((user) => user.username).sort()) === '[\"Ana\",\"Bo\"]' \
                    && tandem.roster().every((user) => !user.away)";
        guest.page.until("both are in the roster", both).await;
        guest.page.until("the host is who it was", &format!("tandem.host() === '{ana_id}'")).await;
        guest.page.until("the film is on", "tandem.url().endsWith('/test-picture') && tandem.playing()").await;
        guest.sees_host("Ana").await;
    }
}
