use crate::{
    page::one,
    party::{Guest, Party},
};

/// Checks that the tile of a member shows a moving picture: the pixels at two times differ.
async fn sees_moving(guest: &Guest, user_id: &str) {
    let video = format!("document.querySelector('video[data-user-id=\"{user_id}\"]')");
    guest.page.until("the tile has a picture", &format!("{video}?.videoWidth > 0 && {video}.checkVisibility()")).await;
    let moving = format!(
        "(async () => {{
            const video = {video};
            const canvas = Object.assign(document.createElement('canvas'), {{ width: 96, height: 54 }});
            const paint = canvas.getContext('2d', {{ willReadFrequently: true }});
            const look = () => {{ paint.drawImage(video, 0, 0, 96, 54); return paint.getImageData(0, 0, 96, 54).data; }};
            const before = look();
            await new Promise((done) => setTimeout(done, 300));
            const after = look();
            return before.some((value) => value > 40) && before.some((value, i) => Math.abs(value - after[i]) > 40);
        }})()"
    );
    guest.page.until("the picture moves", &moving).await;
}

/// Frames come over the network and are decoded, more and more of them.
async fn receives(guest: &Guest, user_id: &str) {
    let frames = format!("tandem.call('{user_id}').then((call) => call?.framesDecoded || false)");
    let first = guest.page.until("frames are decoded", &frames).await.as_f64().unwrap();
    let more = format!("tandem.call('{user_id}').then((call) => call.framesDecoded > {first} + 5)");
    guest.page.until("more frames are decoded", &more).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cameras_show_moving_pictures_both_ways() {
    let party = Party::new(&[]).await;
    let (ana, bo) = party.two("film-night").await;
    let (ana_id, bo_id) = (ana.user_id().await, bo.user_id().await);
    assert!(
        ana.page.eval("document.querySelectorAll('video[data-user-id]').length").await == 0,
        "cameras are off at first"
    );

    // Both in the same moment: two offers cross each other.
    // No mouse: what the other one shows may move the button away between press and release.
    let click = format!("{}.click(), true", one("camera-button"));
    tokio::join!(ana.page.eval(&click), bo.page.eval(&click));
    sees_moving(&ana, &bo_id).await;
    sees_moving(&bo, &ana_id).await;
    sees_moving(&ana, &ana_id).await;
    receives(&ana, &bo_id).await;
    receives(&bo, &ana_id).await;

    // Off, and on again over the same connection.
    let gone = format!("!document.querySelector('video[data-user-id=\"{bo_id}\"]')");
    bo.page.click("camera-button").await;
    ana.page.until("the tile of a camera that is off is gone", &gone).await;
    bo.page.click("camera-button").await;
    sees_moving(&ana, &bo_id).await;

    // A reload starts the call again; the picture of the other side is back without a click.
    bo.page.reload().await;
    sees_moving(&bo, &ana_id).await;
    bo.page.click("camera-button").await;
    sees_moving(&ana, &bo_id).await;

    // The tile of a member that leaves is removed.
    bo.page.click("leave-button").await;
    ana.page.until("the tile of one who left is gone", &gone).await;
    ana.sees(&["Ana"]).await;
    ana.assert_content();
    bo.assert_content();
}
