use std::{env, fs, path::PathBuf};

use serde_json::json;

use crate::{
    page::{Page, one},
    party::{Guest, PIN, Party},
};

/// Takes a picture without transitions half-way and without toasts.
pub(crate) async fn shoot(page: &Page, name: &str) {
    let settled = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => \
                   done(document.getAnimations().length === 0 && document.querySelectorAll('.toast').length === 0))))";
    page.until("the page is calm", settled).await;
    let folder = env::var_os("SCREENSHOTS").map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
    fs::create_dir_all(&folder).unwrap();
    // The browser itself decodes the base64: one dependency less.
    let bytes = page.screenshot().await;
    fs::write(folder.join(name), decode(&bytes)).unwrap();
}

fn decode(base64: &str) -> Vec<u8> {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => u32::from(byte - b'A'),
        b'a'..=b'z' => u32::from(byte - b'a') + 26,
        b'0'..=b'9' => u32::from(byte - b'0') + 52,
        b'+' => 62,
        _ => 63,
    };
    let mut bytes = Vec::with_capacity(base64.len() / 4 * 3);
    for group in base64.trim_end_matches('=').as_bytes().chunks(4) {
        let bits = group.iter().fold(0, |bits, &byte| bits << 6 | value(byte)) << (6 * (4 - group.len()));
        bytes.extend(bits.to_be_bytes().into_iter().skip(1).take(group.len() - 1));
    }
    bytes
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes pictures: SCREENSHOTS=dir cargo test --test browser screenshots -- --ignored"]
async fn screenshots() {
    let party = Party::new(&[]).await;
    let door = Guest::at(&party.server.url(), "Ana").await;
    door.page.fill("create-room-input", "film-night").await;
    door.page.fill("create-pin-input", PIN).await;
    door.page.eval("document.activeElement.blur()").await;
    for scheme in ["light", "dark"] {
        door.page.scheme(scheme).await;
        shoot(&door.page, &format!("landing-{scheme}.png")).await;
    }
    door.page.look_at(&format!("{}/room/zzzzzzzz", party.server.url())).await;
    for scheme in ["light", "dark"] {
        door.page.scheme(scheme).await;
        shoot(&door.page, &format!("dead-link-{scheme}.png")).await;
    }
    door.page.size(390, 844, true).await;
    shoot(&door.page, "dead-link-phone-dark.png").await;
    drop(door);

    let (ana, bo) = party.two("film-night").await;
    ana.page.click("picture-button").await;
    bo.page.until_visible("test-picture").await;
    ana.page.click("camera-button").await;
    bo.page.click("camera-button").await;
    ana.page.click_at(&one("seek-bar"), 0.4).await;
    ana.page.click("play-button").await;
    for guest in [&ana, &bo] {
        let tiles =
            "[...document.querySelectorAll('video[data-user-id]')].filter((one) => one.videoWidth > 0).length === 2";
        guest.page.until("both tiles are there", tiles).await;
        guest.page.eval("document.activeElement.blur(); scrollTo(0, 0)").await;
    }
    for scheme in ["light", "dark"] {
        ana.page.scheme(scheme).await;
        shoot(&ana.page, &format!("room-{scheme}.png")).await;
    }
    bo.page.size(390, 844, true).await;
    bo.page.command("Emulation.setTouchEmulationEnabled", json!({ "enabled": true })).await;
    for scheme in ["light", "dark"] {
        bo.page.scheme(scheme).await;
        bo.page.eval("scrollTo(0, 0)").await;
        shoot(&bo.page, &format!("phone-{scheme}.png")).await;
    }
}
