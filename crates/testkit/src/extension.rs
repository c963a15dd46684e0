//! The browser extension of the first generation, frame by frame: no `features`, `userId` and `roomId` in everything,
//! `from` in signals, milliseconds in `URL_CHANGE`.

use std::ops::{Deref, DerefMut};

use serde_json::{Value, json};

use crate::{Client, Frame, TestApp, client::Connect, now_ms};

/// Where the extension runs.
pub const ORIGIN: &str = "chrome-extension://cfnniaiipghcbjhpdhbhalickkceglib";

pub struct Extension {
    pub client: Client,
    pub room: String,
    pub user: String,
    pub username: Option<String>,
    pub pin: Option<String>,
}

/// The length and the digits of a session description with audio and video.
pub fn sdp(bytes: usize) -> String {
    let head = "v=0\r\no=- 8494927289423787453 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n";
    let line = "a=rtpmap:111 opus/48000/2\r\n";
    let mut text = head.to_owned();
    while text.len() < bytes {
        text.push_str(line);
    }
    text
}

impl Extension {
    /// An open socket that has not sent anything yet.
    pub async fn open(app: &TestApp, room: &str, user: &str) -> Self {
        let headers = [("Origin", ORIGIN), ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits")];
        let client = Client::connect_with(app, Connect { headers: &headers, ..Connect::default() }).await;
        let username = Some(user.trim_start_matches("user_").to_owned());
        Self { client, room: room.to_owned(), user: user.to_owned(), username, pin: None }
    }

    /// Opens and joins, without a PIN.
    pub async fn join(app: &TestApp, room: &str, user: &str) -> Self {
        let mut extension = Self::open(app, room, user).await;
        extension.send_join().await;
        extension.expect("ROOM_STATE").await;
        extension
    }

    /// Opens and joins with a PIN.
    pub async fn join_with_pin(app: &TestApp, room: &str, user: &str, pin: &str) -> (Self, Frame) {
        let mut extension = Self::open(app, room, user).await;
        extension.pin = Some(pin.to_owned());
        extension.send_join().await;
        let state = extension.expect("ROOM_STATE").await;
        (extension, state)
    }

    pub async fn send_join(&mut self) {
        let (user, room, username, pin) = (&self.user, &self.room, &self.username, &self.pin);
        let join = json!({"type": "JOIN", "userId": user, "roomId": room, "username": username, "pin": pin,
            "timestamp": now_ms()});
        self.client.send(join).await;
    }

    /// In the order of the extension's router: the payload, then room and user.
    pub async fn say(&mut self, mut frame: Value) {
        frame["userId"] = json!(self.user);
        frame["roomId"] = json!(self.room);
        self.client.send(frame).await;
    }

    pub async fn leave(&mut self) {
        self.say(json!({"type": "LEAVE", "timestamp": now_ms()})).await;
    }

    pub async fn ping_app(&mut self) -> Frame {
        self.client.send(json!({"type": "PING", "userId": self.user, "timestamp": now_ms()})).await;
        self.client.until("PONG").await
    }

    pub async fn rename(&mut self, username: Option<&str>) {
        self.say(json!({"type": "UPDATE_USERNAME", "username": username, "timestamp": now_ms()})).await;
    }

    pub async fn play_pause(&mut self, control: &str, time: f64) {
        let frame = json!({"type": "PLAY_PAUSE", "control": control, "currentTime": time, "eventTimestamp": now_ms()});
        self.say(frame).await;
    }

    pub async fn seek(&mut self, time: f64, playing: bool) {
        let frame = json!({"type": "SEEK", "currentTime": time, "isPlaying": playing, "eventTimestamp": now_ms()});
        self.say(frame).await;
    }

    pub async fn ready(&mut self, target: f64) {
        self.say(json!({"type": "READY", "targetTime": target})).await;
    }

    pub async fn position(&mut self, time: f64, playing: bool) {
        self.say(json!({"type": "POSITION_UPDATE", "currentTime": time, "isPlaying": playing})).await;
    }

    pub async fn heartbeat(&mut self, time: f64, playing: bool) {
        let frame =
            json!({"type": "HOST_HEARTBEAT", "currentTime": time, "isPlaying": playing, "eventTimestamp": now_ms()});
        self.say(frame).await;
    }

    /// The player's time, in milliseconds.
    pub async fn url_change(&mut self, url: &str, milliseconds: f64) {
        self.say(json!({"type": "URL_CHANGE", "url": url, "currentTime": milliseconds})).await;
    }

    pub async fn request_sync(&mut self) {
        self.say(json!({"type": "REQUEST_SYNC", "respectAutoPlay": false})).await;
    }

    pub async fn sync(&mut self) -> Frame {
        self.request_sync().await;
        self.until("SYNC_RESPONSE").await
    }

    pub async fn offer(&mut self, to: &str) {
        let offer = json!({"type": "offer", "sdp": sdp(5400)});
        let frame = json!({"type": "OFFER", "from": self.user, "to": to, "offer": offer});
        self.say(frame).await;
    }

    pub async fn answer(&mut self, to: &str) {
        let answer = json!({"type": "answer", "sdp": sdp(5100)});
        let frame = json!({"type": "ANSWER", "from": self.user, "to": to, "answer": answer});
        self.say(frame).await;
    }

    pub async fn candidate(&mut self, to: &str, number: usize) {
        let candidate = json!({"candidate": format!("candidate:{number} 1 udp 2122194687 192.0.2.2 46705 typ host"),
            "sdpMid": "0", "sdpMLineIndex": 0, "usernameFragment": "PQbD"});
        let frame = json!({"type": "ICE_CANDIDATE", "from": self.user, "to": to, "candidate": candidate});
        self.say(frame).await;
    }
}

impl Deref for Extension {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl DerefMut for Extension {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.client
    }
}
