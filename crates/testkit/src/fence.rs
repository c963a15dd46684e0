use serde_json::json;

use crate::{Client, Frame};

/// Has the first of these members of one room broadcast a mark, and returns what each of them got before it.
pub async fn fence_all(members: &mut [&mut Client]) -> Vec<Vec<Frame>> {
    let mark = format!("fence-{:016x}", rand::random::<u64>());
    let is_fence = |frame: &Frame| frame.is("BROADCAST") && frame["data"] == *mark;
    members[0].send(json!({"type": "BROADCAST", "event": "fence", "data": mark})).await;
    let mut all = Vec::new();
    for member in members {
        let mut frames = member.collect_until(is_fence, "the fence").await;
        frames.pop();
        all.push(frames);
    }
    all
}

/// Checks that none of these members of one room got anything.
pub async fn quiet(members: &mut [&mut Client]) {
    for frames in fence_all(members).await {
        assert!(frames.is_empty(), "expected nothing, got {frames:#?}");
    }
}
