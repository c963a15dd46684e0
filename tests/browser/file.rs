use crate::{page::one, party::Party, playback};

/// Picks a file as the chooser would: a minute of quiet tones, made here, the same bytes on every device.
const PICK: &str = "(() => {
    const [rate, seconds] = [8000, 60];
    const bytes = new Uint8Array(44 + rate * seconds);
    const view = new DataView(bytes.buffer);
    const word = (at, text) => [...text].forEach((char, i) => view.setUint8(at + i, char.charCodeAt(0)));
    word(0, 'RIFF'); view.setUint32(4, bytes.length - 8, true); word(8, 'WAVEfmt ');
    view.setUint32(16, 16, true); view.setUint16(20, 1, true); view.setUint16(22, 1, true);
    view.setUint32(24, rate, true); view.setUint32(28, rate, true); view.setUint16(32, 1, true); view.setUint16(34, 8, true);
    word(36, 'data'); view.setUint32(40, rate * seconds, true);
    for (let i = 44; i < bytes.length; i += 1) bytes[i] = 128 + 8 * Math.sin(i / 6);
    const transfer = new DataTransfer();
    transfer.items.add(new File([bytes], 'film.wav', { type: 'audio/wav' }));
    const input = document.querySelector('[data-testid=\"file-input\"]');
    input.files = transfer.files;
    input.dispatchEvent(new Event('change'));
    return true;
})()";

#[tokio::test(flavor = "multi_thread")]
async fn a_file_on_each_device_runs_together() {
    let party = Party::new(&[]).await;
    let (ana, bo) = party.two("film-night").await;
    ana.page.eval(PICK).await;
    ana.page.until("the host's film is loaded", &format!("{}.duration === 60", one("video"))).await;
    let asks = format!("{}.textContent.includes('Ana is watching film.wav')", one("stage-note"));
    bo.page.until("the guest is asked for a copy", &asks).await;
    bo.page.eval(PICK).await;
    bo.page.until("the guest's film is loaded", &format!("{}.duration === 60", one("video"))).await;

    ana.page.click("play-button").await;
    playback::run_together(&ana, &bo).await;
    ana.page.click_at(&one("seek-bar"), 0.5).await;
    bo.page.until("the guest has jumped", "tandem.position() > 25").await;
    playback::run_together(&ana, &bo).await;
    ana.page.click("play-button").await;
    playback::stand_together(&ana, &bo).await;
    ana.assert_content();
    bo.assert_content();
}
