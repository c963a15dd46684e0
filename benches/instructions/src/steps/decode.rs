use std::hint::black_box;

use anyhow::{Result, bail};
use tandem::protocol::decode;

use crate::step::Step;

/// From text to messages.
pub(crate) fn steps() -> Vec<Step> {
    vec![
        Step {
            name: "decode/play_pause",
            times: 2_000,
            run: |times| again(r#"{"type":"PLAY_PAUSE","control":"play","currentTime":41.5}"#, times),
        },
        Step {
            name: "decode/position_update",
            times: 2_000,
            run: |times| again(r#"{"type":"POSITION_UPDATE","currentTime":41.5,"isPlaying":true}"#, times),
        },
        Step { name: "decode/offer_3_kb", times: 500, run: |times| again(&offer(), times) },
        Step {
            name: "decode/join",
            times: 2_000,
            run: |times| again(r#"{"type":"JOIN","roomId":"film-night","userId":"ana","username":"Ana"}"#, times),
        },
    ]
}

/// An OFFER of the size that a browser with a camera and a microphone makes.
pub(super) fn offer() -> String {
    let sdp = "v".repeat(3_000);
    format!(r#"{{"type":"OFFER","to":"user-1","offer":{{"type":"offer","sdp":"{sdp}"}}}}"#)
}

fn again(text: &str, times: u64) -> Result<()> {
    for _ in 0..times {
        if let Err(error) = black_box(decode(black_box(text))) {
            bail!("not a frame: {}", error.message);
        }
    }
    Ok(())
}
