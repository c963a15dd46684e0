//! A node whose settings are those of the extension, and its own page.

use crate::{
    page::one,
    party::{PIN, Party},
};

#[tokio::test(flavor = "multi_thread")]
async fn the_page_works_beside_the_extension() {
    let party = Party::new(&[("INVITE_URL", "https://www.netflix.com/"), ("URL_HOSTS", "netflix.com")]).await;
    let ana = party.host("Ana", "film-night").await;
    let link = ana.invitation().await;
    let origin = party.server.url();
    assert!(link.starts_with(&format!("{origin}/room/")) && link.contains(PIN), "{link}");
    // The link leads here, and not to where the extension is.
    let bo = party.guest("Bo", &link).await;
    ana.sees(&["Ana", "Bo"]).await;
    ana.page.click("picture-button").await;
    bo.page.until_visible("test-picture").await;
    // Pasted it leads here, too.
    let eve = crate::party::Guest::at(&origin, "Eve").await;
    eve.page.fill("code-input", &link).await;
    eve.page.click("join-button").await;
    eve.sees(&["Ana", "Bo", "Eve"]).await;
    eve.page.until_visible("test-picture").await;
    for guest in [&ana, &bo, &eve] {
        guest.assert_content();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_link_leads_to_the_door() {
    let party = Party::new(&[]).await;
    let browser = crate::chromium::Chromium::launch().await;
    let page = browser.page(&party.server.url()).await;
    page.look_at(&format!("{}/room/zzzzzzzz/{PIN}", party.server.url())).await;
    page.until_visible("dead-link").await;
    let styled = "getComputedStyle(document.querySelector('.button')).backgroundColor !== 'rgba(0, 0, 0, 0)'";
    page.until("the page has its style", styled).await;
    assert!(page.complaints().is_empty(), "{:?}", page.complaints());
    page.click_at("document.querySelector('[data-testid=\"dead-link\"] .button')", 0.5).await;
    page.until("the door is open", &format!("{}?.checkVisibility()", one("landing"))).await;
}
