//! Waiting for frames: each method has a deadline, and fails with the history of the connection.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{Client, DEADLINE, Frame, Incoming};

impl Client {
    /// The next frame.
    pub async fn next(&mut self) -> Frame {
        match self.poll(DEADLINE).await {
            Some(Incoming::Frame(frame)) => frame,
            other => panic!("no next frame but {other:?}; so far:\n{}", self.history()),
        }
    }

    /// The next frame, which must be of this type.
    pub async fn expect(&mut self, kind: &str) -> Frame {
        let frame = self.next().await;
        assert!(frame.is(kind), "expected {kind}, got {frame:?}; so far:\n{}", self.history());
        frame
    }

    /// The answer to a JOIN: ROOM_STATE or ERROR.
    pub async fn until_answered(&mut self) -> Frame {
        self.collect_until(|frame| frame.is("ROOM_STATE") || frame.is("ERROR"), "the answer").await.pop().unwrap()
    }

    /// The next frame, which must be an ERROR with this code.
    pub async fn expect_error(&mut self, code: &str) -> Frame {
        let frame = self.expect("ERROR").await;
        assert_eq!(frame["code"], code, "so far:\n{}", self.history());
        frame
    }

    /// The first frame of this type; other frames are skipped.
    pub async fn until(&mut self, kind: &str) -> Frame {
        self.collect_until(|frame| frame.is(kind), kind).await.pop().unwrap()
    }

    /// The same, with a deadline of its own.
    pub async fn until_within(&mut self, kind: &str, within: Duration) -> Frame {
        let until = Instant::now() + within;
        loop {
            match self.poll(until.saturating_duration_since(Instant::now())).await {
                Some(Incoming::Frame(frame)) if frame.is(kind) => return frame,
                Some(Incoming::Frame(_)) => {}
                other => panic!("waiting for {kind}, but {other:?}; so far:\n{}", self.history()),
            }
        }
    }

    /// All frames up to and including the first that is `wanted`.
    pub async fn collect_until(&mut self, wanted: impl Fn(&Frame) -> bool, what: &str) -> Vec<Frame> {
        let until = Instant::now() + DEADLINE;
        let mut frames = Vec::new();
        loop {
            match self.poll(until.saturating_duration_since(Instant::now())).await {
                Some(Incoming::Frame(frame)) => {
                    let done = wanted(&frame);
                    frames.push(frame);
                    if done {
                        return frames;
                    }
                }
                other => panic!("waiting for {what}, but {other:?}; so far:\n{}", self.history()),
            }
        }
    }

    /// All frames that arrive within this time. Only for rules that are about time.
    pub async fn during(&mut self, time: Duration) -> Vec<Frame> {
        let until = Instant::now() + time;
        let mut frames = Vec::new();
        loop {
            match self.poll(until.saturating_duration_since(Instant::now())).await {
                Some(Incoming::Frame(frame)) => frames.push(frame),
                None => return frames,
                Some(Incoming::Closed(code)) => panic!("closed ({code:?}); so far:\n{}", self.history()),
            }
        }
    }

    /// All frames up to the end of the connection, and its close code.
    pub async fn closed(&mut self) -> (Vec<Frame>, Option<u16>) {
        self.closed_within(DEADLINE).await
    }

    pub async fn closed_within(&mut self, within: Duration) -> (Vec<Frame>, Option<u16>) {
        let until = Instant::now() + within;
        let mut frames = Vec::new();
        loop {
            match self.poll(until.saturating_duration_since(Instant::now())).await {
                Some(Incoming::Frame(frame)) => frames.push(frame),
                Some(Incoming::Closed(code)) => return (frames, code),
                None => panic!("not closed; so far:\n{}", self.history()),
            }
        }
    }

    /// Sends a frame and returns its ACK; other frames are skipped.
    pub async fn acked(&mut self, mut frame: Value) -> Frame {
        self.fences += 1;
        let id = format!("ack-{}", self.fences);
        frame["id"] = json!(id);
        self.send(frame).await;
        let answers = self.collect_until(|answer| answer["id"] == *id, "the answer").await;
        let answer = answers.last().unwrap().clone();
        assert!(answer.is("ACK"), "{answer:?}; so far:\n{}", self.history());
        answer
    }

    /// Sends a frame until it is answered with this ERROR, because its node may learn of the reason a little later.
    pub async fn until_refused(&mut self, frame: Value, code: &str) {
        let until = Instant::now() + DEADLINE;
        loop {
            self.fences += 1;
            let mut frame = frame.clone();
            frame["id"] = json!(format!("asked-{}", self.fences));
            let id = frame["id"].clone();
            self.send(frame).await;
            let answer = self.collect_until(|answer| answer["id"] == id, "the answer").await.pop().unwrap();
            if answer.is("ERROR") {
                assert_eq!(answer["code"], code, "so far:\n{}", self.history());
                return;
            }
            assert!(Instant::now() < until, "never refused; so far:\n{}", self.history());
        }
    }

    /// Sends a frame and returns the ERROR to it; other frames are skipped.
    pub async fn refused(&mut self, mut frame: Value, code: &str) -> Frame {
        self.fences += 1;
        let id = format!("refused-{}", self.fences);
        frame["id"] = json!(id);
        self.send(frame).await;
        let answers = self.collect_until(|answer| answer["id"] == *id, "the answer").await;
        let answer = answers.last().unwrap().clone();
        assert!(answer.is("ERROR"), "{answer:?}; so far:\n{}", self.history());
        assert_eq!(answer["code"], code, "so far:\n{}", self.history());
        answer
    }

    /// Sends REQUEST_SYNC and returns the frames before its answer. All frames that were sent before are handled by then.
    pub async fn fence(&mut self) -> Vec<Frame> {
        self.send(json!({"type": "REQUEST_SYNC"})).await;
        let mut frames = self.collect_until(|frame| frame.is("SYNC_RESPONSE"), "SYNC_RESPONSE").await;
        frames.pop();
        frames
    }

    /// Sends PING; its PONG must be the next frame.
    pub async fn ping(&mut self) -> Frame {
        let t0 = crate::now_ms();
        self.send(json!({"type": "PING", "t0": t0})).await;
        let pong = self.expect("PONG").await;
        assert_eq!(pong.int("t0"), t0);
        pong
    }
}
