use crate::{
    page::one,
    party::{Guest, Party},
    screenshots::shoot,
};

const NEW_PIN: &str = "135791";

async fn menu_of_second(host: &Guest) {
    host.page.click_at("document.querySelectorAll('[data-testid=\"member-more\"]')[1]", 0.5).await;
}

/// Somebody who follows the link, types a PIN, and is told why not.
async fn refused(guest: &Guest, pin: &str, says: &str) {
    guest.page.fill("pin-input", pin).await;
    guest.page.click("join-button").await;
    let said = format!("document.getElementById('landing').textContent.includes('{says}')");
    guest.page.until("it is said why", &said).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_locks_the_room_changes_the_pin_bans_and_lifts_a_ban() {
    let party = Party::new(&[]).await;
    let (ana, bo) = party.two("film-night").await;
    let link = ana.invitation().await;
    assert!(bo.page.eval("document.getElementById('lock-switch').hidden").await == true, "a guest sees no lock");

    ana.page.click_at("document.querySelector('#lock-switch i')", 0.5).await;
    bo.page.until("the guest sees the lock", "document.getElementById('lock-switch').checkVisibility()").await;
    assert!(bo.page.eval(&format!("{}.disabled", one("lock-room"))).await == true, "and cannot open it");
    let cem = Guest::at(&link, "Cem").await;
    cem.page.click("join-button").await;
    let locked = "document.getElementById('landing').textContent.includes('is locked')";
    cem.page.until("a newcomer is told", locked).await;
    drop(cem);
    ana.page.click_at("document.querySelector('#lock-switch i')", 0.5).await;
    bo.page.until("the lock is gone", "document.getElementById('lock-switch').hidden").await;

    ana.page.click("pin-button").await;
    ana.page.fill("new-pin-input", NEW_PIN).await;
    ana.page.click("pin-ok").await;
    ana.page.until("the new PIN", &format!("{}.textContent === '{NEW_PIN}'", one("invite-pin"))).await;
    bo.page.until("it is not known", &format!("{}.textContent === 'ask the host'", one("invite-pin"))).await;

    menu_of_second(&ana).await;
    ana.page.click("ban").await;
    ana.page.click("ban-ok").await;
    ana.sees(&["Ana"]).await;
    bo.page.until_visible("landing").await;
    bo.page.goto(&link).await;
    refused(&bo, NEW_PIN, "banned").await;
    ana.page.click("bans-button").await;
    ana.page
        .until("the ban is listed", "document.querySelector('[data-testid=\"ban\"]')?.textContent.includes('Bo')")
        .await;
    ana.page.click("unban").await;
    ana.page.until("it is lifted", "document.getElementById('bans-none').checkVisibility()").await;
    ana.page.click("bans-close").await;
    bo.page.click("join-button").await;
    ana.sees(&["Ana", "Bo"]).await;
    ana.assert_content();
    bo.assert_content();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes pictures: SCREENSHOTS=dir cargo test --test browser pictures_of_moderation -- --ignored"]
async fn pictures_of_moderation() {
    let party = Party::new(&[]).await;
    let (ana, bo) = party.two("film-night").await;
    ana.page.click_at("document.querySelector('#lock-switch i')", 0.5).await;
    bo.page.until("the guest sees the lock", "document.getElementById('lock-switch').checkVisibility()").await;
    for (width, height, mobile, size) in [(1280, 800, false, "wide"), (390, 844, true, "phone")] {
        ana.page.size(width, height, mobile).await;
        for scheme in ["light", "dark"] {
            ana.page.scheme(scheme).await;
            ana.page.eval("document.getElementById('lock-switch').scrollIntoView({ block: 'center' })").await;
            shoot(&ana.page, &format!("lock-{size}-{scheme}.png")).await;
            menu_of_second(&ana).await;
            shoot(&ana.page, &format!("menu-{size}-{scheme}.png")).await;
            ana.page.click("ban").await;
            shoot(&ana.page, &format!("ban-{size}-{scheme}.png")).await;
            ana.page.eval("document.getElementById('ban-dialog').close()").await;
            ana.page.click("pin-button").await;
            shoot(&ana.page, &format!("pin-{size}-{scheme}.png")).await;
            ana.page.eval("document.getElementById('pin-dialog').close()").await;
        }
    }
    menu_of_second(&ana).await;
    ana.page.click("ban").await;
    ana.page.click("ban-ok").await;
    ana.sees(&["Ana"]).await;
    ana.page.click("bans-button").await;
    ana.page.until("the ban is listed", "document.querySelector('[data-testid=\"ban\"]')").await;
    for (width, height, mobile, size) in [(390, 844, true, "phone"), (1280, 800, false, "wide")] {
        ana.page.size(width, height, mobile).await;
        for scheme in ["light", "dark"] {
            ana.page.scheme(scheme).await;
            shoot(&ana.page, &format!("bans-{size}-{scheme}.png")).await;
        }
    }
}
