//! Members that read nothing, and the others of their room.

use std::time::Duration;

use serde_json::json;
use tandem_testkit::{Client, TestApp, client::Connect};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

/// A client that does not read must not block the turn of its room. Turns are held across an await only where there is a cluster.
#[tokio::test]
async fn stalled_readers_do_not_stop_their_room() {
    let app = TestApp::start().await;
    let mut innocent = Client::join(&app, "room", "innocent").await;
    // Many frames at once, so that their senders queue for the room; none of them masked in earnest.
    let noise = json!({"type": "BROADCAST", "event": "noise", "data": "x".repeat(4_000)}).to_string();
    let length = u16::try_from(noise.len()).unwrap().to_be_bytes();
    let frame = [&[0x81, 0xFE], &length[..], &[0; 4], noise.as_bytes()].concat();
    let mut stalled = Vec::new();
    for number in 0..24 {
        let how = Connect { receive_buffer: Some(4_096), ..Connect::default() };
        let mut one = Client::connect_with(&app, how).await;
        one.enter("room", &format!("stalled{number}"), json!({"features": []})).await;
        stalled.push(one.into_stream());
    }
    // All at once, so that all fill up at once, and with somebody who reads from now on: what is kept for the innocent is no more
    // than what is kept for them.
    innocent.fence().await;
    let flood = frame.repeat(280);
    let flooding = |mut stream: TcpStream| {
        let flood = flood.clone();
        tokio::spawn(async move {
            // It may be ended in the middle of this.
            let _ = stream.write_all(&flood).await;
            std::future::pending::<()>().await;
        })
    };
    let stalled: Vec<_> = stalled.into_iter().map(flooding).collect();
    // 10 s are allowed for each, half of what a write that hangs is given.
    for number in 0..40 {
        innocent.acked(json!({"type": "BROADCAST", "event": "mine", "data": number})).await;
        innocent.during(Duration::from_millis(50)).await;
    }
    for one in stalled {
        one.abort();
    }
}
