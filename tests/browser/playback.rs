use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{
    page::one,
    party::{Guest, Party},
};

const PATIENCE: Duration = Duration::from_secs(30);
/// How far two screens may be apart, in seconds.
const CLOSE: f64 = 0.150;
/// The number of consecutive agreements: a single one could be two drifting clocks that pass each other.
const STEADY: usize = 8;

/// The visible clock, and when it was read.
#[derive(Debug, Clone, Copy)]
struct Sample {
    clock: f64,
    at: f64,
}

/// The clock in the moment it changes; one that stands still is read as it is.
const READ: &str = "new Promise((done) => {
    const clock = document.querySelector('[data-testid=\"clock-text\"]');
    const read = () => done({ text: clock.textContent, at: Date.now() });
    const watch = new MutationObserver(() => { watch.disconnect(); read(); });
    watch.observe(clock, { childList: true, characterData: true, subtree: true });
    setTimeout(read, 400);
})";

async fn read(guest: &Guest) -> Sample {
    let seen: Value = guest.page.eval(READ).await;
    let text = seen["text"].as_str().unwrap();
    let parts: Vec<f64> = text.split(':').map(|part| part.parse().unwrap()).collect();
    assert_eq!(parts.len(), 3, "the clock shows {text}");
    Sample { clock: parts[0] * 3600.0 + parts[1] * 60.0 + parts[2], at: seen["at"].as_f64().unwrap() / 1000.0 }
}

/// Both clocks at one instant: both pages run on this machine, so the wall clock takes out that they were not read at once.
async fn apart(ana: &Guest, bo: &Guest) -> (f64, Sample, Sample) {
    let (a, b) = tokio::join!(read(ana), read(bo));
    ((a.clock - a.at) - (b.clock - b.at), a, b)
}

/// Both play, at the same place, and stay there.
pub(crate) async fn run_together(ana: &Guest, bo: &Guest) -> f64 {
    let deadline = Instant::now() + PATIENCE;
    let (mut steady, mut last): (usize, Option<(Sample, Sample)>) = (0, None);
    loop {
        let (gap, a, b) = apart(ana, bo).await;
        let runs = last.is_none_or(|(la, lb)| a.clock > la.clock && b.clock > lb.clock);
        steady = if gap.abs() <= CLOSE && runs { steady + 1 } else { 0 };
        if steady > STEADY {
            return a.clock;
        }
        assert!(
            Instant::now() < deadline,
            "the clocks never ran together: {gap:+.3} s apart, {a:?} {b:?} after {last:?}"
        );
        last = Some((a, b));
    }
}

/// Both stand still, and show the very same.
pub(crate) async fn stand_together(ana: &Guest, bo: &Guest) -> f64 {
    let deadline = Instant::now() + PATIENCE;
    let mut last: Option<(f64, f64)> = None;
    loop {
        let (a, b) = tokio::join!(read(ana), read(bo));
        #[allow(clippy::float_cmp, reason = "the very same is what is wanted")]
        if a.clock == b.clock && last == Some((a.clock, b.clock)) {
            return a.clock;
        }
        last = Some((a.clock, b.clock));
        assert!(Instant::now() < deadline, "the clocks never stood together: {a:?} {b:?}");
    }
}

async fn shows_picture(guest: &Guest) {
    guest.page.until_visible("test-picture").await;
    guest.page.until("the clock of the server is known", "tandem.clockSynced()").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn play_pause_and_seek_reach_every_screen() {
    let party = Party::new(&[]).await;
    let (ana, bo) = party.two("film-night").await;
    ana.page.click("picture-button").await;
    shows_picture(&ana).await;
    shows_picture(&bo).await;
    bo.page.until("a guest may not play", &format!("{}.disabled", one("play-button"))).await;
    assert!(bo.page.text("control-hint").await.contains("Ana"), "the hint says who may");

    ana.page.click("play-button").await;
    let before = run_together(&ana, &bo).await;

    ana.page.click("play-button").await;
    let stopped = stand_together(&ana, &bo).await;
    assert!(stopped >= before, "{stopped} after {before}");

    // A jump while it stands: a quarter of the hour that the test picture has.
    ana.page.click_at(&one("seek-bar"), 0.25).await;
    for guest in [&ana, &bo] {
        guest.page.until("everybody has jumped", "tandem.position() > 800").await;
        guest.page.until("and shows it", &format!("{}.textContent.startsWith('00:1')", one("clock-text"))).await;
    }
    let quarter = stand_together(&ana, &bo).await;
    assert!((quarter - 900.0).abs() < 60.0, "{quarter}");

    // And a seek while it plays: all members wait for each other, then go on.
    ana.page.click("play-button").await;
    run_together(&ana, &bo).await;
    ana.page.click_at(&one("seek-bar"), 0.5).await;
    ana.page.until("the host has jumped", "tandem.position() > 1700").await;
    bo.page.until("the guest has jumped", "tandem.position() > 1700").await;
    let half = run_together(&ana, &bo).await;
    assert!((half - 1800.0).abs() < 90.0, "{half}");

    // The keyboard does the same.
    ana.page.press(" ", 32).await;
    let at = stand_together(&ana, &bo).await;
    ana.page.press("ArrowRight", 39).await;
    ana.page.until("five seconds on", &format!("Math.abs(tandem.position() - {}) < 0.002", at + 5.0)).await;
    let on = stand_together(&ana, &bo).await;
    assert!((on - at - 5.0).abs() < 0.002, "{at} to {on}");

    ana.assert_content();
    bo.assert_content();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_latecomer_lands_where_the_film_is() {
    let party = Party::new(&[]).await;
    let ana = party.host("Ana", "film-night").await;
    ana.page.click("picture-button").await;
    shows_picture(&ana).await;
    ana.page.click_at(&one("seek-bar"), 0.5).await;
    ana.page.click("play-button").await;
    ana.page.until("it plays", "tandem.playing() && tandem.position() > 1700").await;

    let bo = party.guest("Bo", &ana.invitation().await).await;
    shows_picture(&bo).await;
    let at = run_together(&ana, &bo).await;
    assert!(at > 1700.0, "{at}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_host_may_share_the_remote_control() {
    let party = Party::new(&[]).await;
    let (ana, bo) = party.two("film-night").await;
    ana.page.click("picture-button").await;
    shows_picture(&bo).await;
    ana.page.click_at("document.querySelector('.switch')", 0.1).await;

    bo.page.click("play-button").await;
    run_together(&ana, &bo).await;
    bo.page.click("play-button").await;
    stand_together(&ana, &bo).await;

    ana.page.click_at("document.querySelector('.switch')", 0.1).await;
    bo.page.until("the right is taken back", &format!("{}.disabled", one("play-button"))).await;
}
