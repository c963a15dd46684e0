//! A story: lines, each a frame of one of four clients (`0` to `3` before it), the end of its socket (`2!`), or a pause (`+1500`, in
//! milliseconds).
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use tandem_fuzz::{
    stage::{Stage, play},
    wire::Client,
};
use tokio::time::sleep;

const CLIENTS: usize = 4;
const LINES: usize = 48;
/// The longest pause.
const PAUSE: u64 = 300_000;

struct Story<'a> {
    stage: &'a Stage,
    clients: [Option<Client>; CLIENTS],
    opened: u64,
}

impl Story<'_> {
    fn open(&mut self, place: usize) -> Option<&Client> {
        if self.clients[place].is_none() {
            let number = self.opened * CLIENTS as u64 + place as u64;
            self.opened += 1;
            self.clients[place] = Client::open(self.stage, number);
        }
        self.clients[place].as_ref()
    }

    async fn line(&mut self, line: &[u8]) {
        let Some((first, rest)) = line.split_first() else { return };
        let mut pause = 1;
        match (first, rest) {
            (b'+', digits) => {
                let millis = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
                pause = millis.unwrap_or(1).min(PAUSE);
            }
            (b'0'..=b'3', b"!") => {
                if let Some(client) = self.clients[usize::from(first - b'0')].take() {
                    client.close();
                }
            }
            (b'0'..=b'3', frame) => {
                let place = usize::from(first - b'0');
                if self.open(place).is_some_and(|client| !client.send(frame)) {
                    // The next one remembers what this one was told.
                    let before = self.clients[place].take();
                    if let (Some(before), Some(client)) = (before, self.open(place)) {
                        client.remember(&before);
                        client.send(frame);
                    }
                }
            }
            _ => return,
        }
        sleep(Duration::from_millis(pause)).await;
    }
}

fuzz_target!(|data: &[u8]| {
    play(|stage| async move {
        let mut story = Story { stage: &stage, clients: [const { None }; CLIENTS], opened: 0 };
        for line in data.split(|byte| *byte == b'\n').take(LINES) {
            story.line(line).await;
        }
        stage.check().await;
        drop(story);
        // Windows end, seats are given up, rooms close.
        sleep(Duration::from_secs(600)).await;
        stage.check().await;
    });
});
