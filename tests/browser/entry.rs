use crate::{
    page::one,
    party::{Guest, PIN, Party},
};

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_leads_into_the_room() {
    let party = Party::new(&[]).await;
    let ana = party.host("Ana", "film-night").await;
    let link = ana.invitation().await;
    let origin = party.server.url();
    assert!(link.starts_with(&format!("{origin}/room/")) && link.ends_with(&format!("/{PIN}")), "{link}");

    let bo = party.guest("Bo", &link).await;
    for one in [&ana, &bo] {
        one.sees(&["Ana", "Bo"]).await;
        one.sees_host("Ana").await;
        assert_eq!(one.page.text("room-code").await, "film-night");
    }
    let address = bo.page.eval("location.href").await;
    assert_eq!(address, format!("{origin}/"), "the PIN is not left in the address bar");
    assert!(bo.page.eval(&format!("{}.disabled", one("guest-control"))).await == true, "a guest cannot give rights");

    ana.assert_content();
    bo.assert_content();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_invitation_leads_into_the_room_without_its_pin() {
    let party = Party::new(&[]).await;
    let ana = party.host("Ana", "film-night").await;
    let base = party.server.url();
    let args = ["token", "invite", "--room", "film-night", "--role", "co-host", "--uses", "1", "--link", &base];
    let link = party.server.run(&args);
    let link = link.trim();
    assert!(link.starts_with(&format!("{base}/#invite=")), "{link}");

    let bo = Guest::at(link, "Bo").await;
    assert!(bo.page.text("join-text").await.contains("film-night"));
    bo.page.until("no PIN is asked for", &format!("!{}.checkVisibility()", one("pin-input"))).await;
    bo.page.click("join-button").await;
    for one in [&ana, &bo] {
        one.sees(&["Ana", "Bo"]).await;
    }
    assert_eq!(
        bo.page.eval("location.href").await,
        format!("{base}/"),
        "the invitation is not left in the address bar"
    );
    // A page that is loaded again is no second guest.
    bo.page.reload().await;
    bo.page.until("the reloaded page is in the room", "tandem.state() === 'live'").await;

    let cem = Guest::at(link, "Cem").await;
    cem.page.click("join-button").await;
    cem.page.until_visible("error-text").await;
    let said = cem.page.text("error-text").await;
    assert!(said.contains("used"), "{said}");
    cem.page.fill("pin-input", PIN).await;
    cem.page.click("join-button").await;
    cem.sees(&["Ana", "Bo", "Cem"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_and_a_pin_lead_into_the_room() {
    let party = Party::new(&[]).await;
    let ana = party.host("Ana", "film-night").await;
    ana.invitation().await;
    let code = ana.page.text("invite-code").await;

    let bo = Guest::at(&party.server.url(), "Bo").await;
    bo.page.fill("code-input", "no-such-code").await;
    bo.page.click("join-button").await;
    bo.page.until("an unknown code is refused", "document.getElementById('code-input-error').checkVisibility()").await;
    bo.page.fill("code-input", &code).await;
    bo.page.fill("pin-input", PIN).await;
    bo.page.click("join-button").await;
    bo.sees(&["Ana", "Bo"]).await;
    ana.sees(&["Ana", "Bo"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_pin_is_refused_where_it_was_typed() {
    let party = Party::new(&[]).await;
    let ana = party.host("Ana", "film-night").await;
    let link = ana.invitation().await;

    let bo = Guest::at(&link, "Bo").await;
    assert_eq!(bo.page.value("pin-input").await, PIN, "the link brings the PIN along");
    bo.page.fill("pin-input", "111111").await;
    bo.page.click("join-button").await;
    bo.page.until_visible("pin-error").await;
    let said = bo.page.text("pin-error").await;
    assert!(said.contains("PIN is wrong"), "{said}");
    bo.page.until("still at the door", &format!("{}.checkVisibility()", one("landing"))).await;
    assert_eq!(ana.page.text("people-count").await, "1");

    bo.page.fill("pin-input", PIN).await;
    bo.page.click("join-button").await;
    bo.sees(&["Ana", "Bo"]).await;
    ana.sees(&["Ana", "Bo"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_takes_the_same_seat_again() {
    let party = Party::new(&[]).await;
    let (ana, bo) = party.two("film-night").await;
    let before = bo.user_id().await;
    bo.page.reload().await;
    bo.page
        .until("the reloaded page is in the room", "tandem.state() === 'live' && tandem.roster().length === 2")
        .await;
    assert_eq!(bo.user_id().await, before);
    for one in [&ana, &bo] {
        one.sees(&["Ana", "Bo"]).await;
        one.sees_host("Ana").await;
    }

    // Also the host: it keeps its crown.
    ana.page.reload().await;
    for one in [&ana, &bo] {
        one.sees(&["Ana", "Bo"]).await;
        one.sees_host("Ana").await;
    }
}
