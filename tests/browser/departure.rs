use crate::{audit, page::one, party::Party};

#[tokio::test(flavor = "multi_thread")]
async fn the_guest_takes_over_when_the_hosts_browser_dies() {
    let party = Party::new(&[("HOST_GRACE_SECONDS", "1"), ("RESUME_WINDOW_SECONDS", "2")]).await;
    let (mut ana, bo) = party.two("film-night").await;
    let (ana_id, bo_id) = (ana.user_id().await, bo.user_id().await);
    ana.page.click("picture-button").await;
    bo.page.until_visible("test-picture").await;
    ana.page.click("play-button").await;
    bo.page.until("the film runs at the guest's", "tandem.playing() && tandem.position() > 0.5").await;
    ana.page.click_at(&one("seek-bar"), 0.5).await;
    bo.page.until("the guest has jumped", "tandem.position() > 1700").await;

    ana.browser.kill();
    bo.sees_host("Bo").await;
    bo.sees(&["Bo"]).await;
    bo.page.until("the new host may control", &format!("!{}.disabled", one("play-button"))).await;
    assert!(bo.page.eval("tandem.position() > 1700").await == true, "the film went on where it was");
    bo.page.until("it still plays", "tandem.playing()").await;
    bo.page.click("play-button").await;
    bo.page.until("the new host has paused it", "!tandem.playing()").await;
    bo.page.click("leave-button").await;
    bo.page.until_visible("landing").await;
    bo.assert_content();

    let (ana, bo) = (ana_id.as_str(), bo_id.as_str());
    let wanted = [
        ("USER_JOINED", ana),
        ("USER_JOINED", bo),
        ("URL_CHANGE", ana),
        ("PLAY_PAUSE", ana),
        ("SEEK", ana),
        ("HOST_CHANGED", bo),
        ("PLAY_PAUSE", bo),
        ("USER_LEFT", bo),
    ];
    let told = audit::until_told(&party.server, "film-night", &wanted).await;
    let times = |kind: &str, user: &str| told.iter().filter(|(k, u)| k == kind && u == user).count();
    for (kind, user) in
        [("USER_JOINED", ana), ("USER_JOINED", bo), ("USER_LEFT", ana), ("USER_LEFT", bo), ("SEEK", ana)]
    {
        assert_eq!(times(kind, user), 1, "{kind} of {user} once: {told:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_guest_is_out_and_knows_it() {
    let party = Party::new(&[]).await;
    let (ana, bo) = party.two("film-night").await;
    ana.page.click_at("document.querySelectorAll('[data-testid=\"member-more\"]')[1]", 0.5).await;
    ana.page.click("kick").await;
    ana.page.click("kick-ok").await;
    ana.sees(&["Ana"]).await;
    bo.page.until_visible("landing").await;
    bo.page.until("it is said", &format!("{}.textContent.includes('removed')", one("error-text"))).await;
}
