use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use anyhow::Result;

use super::{Behaviour, Record, Sequence, timers::Action};
use crate::{
    client::{Client, scan},
    load::signal,
};

/// Timers are accurate to a millisecond, which is the fault of nobody. Only longer delays count as latency.
const TIMER_ACCURACY: Duration = Duration::from_millis(2);

/// Candidates of each side of a call.
const CANDIDATES: u32 = 5;

/// The length of the film, in seconds.
const FILM: u64 = 5_000;

/// What happens to the connection after an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Stay,
    /// It breaks.
    Break,
    /// It breaks because the page is reloaded.
    Reload,
    /// The user leaves the room and joins again.
    Leave,
}

/// One connection of a user: what it sends and receives.
#[derive(Debug)]
pub(super) struct Session<'a> {
    record: &'a Record,
    behaviour: &'a Behaviour,
    user: &'a str,
    host: bool,
    /// Identifies this connection of the user: its messages are numbered from 0.
    connection: u64,
    chats: u64,
    signals: HashMap<String, u64>,
}

impl<'a> Session<'a> {
    pub(super) fn new(record: &'a Record, behaviour: &'a Behaviour, user: &'a str, host: bool) -> Self {
        let connection = record.micros(Instant::now());
        Self { record, behaviour, user, host, connection, chats: 0, signals: HashMap::new() }
    }

    /// The moment from which the latency of an action counts.
    fn since(&self, due: Instant) -> u64 {
        let now = Instant::now();
        let late = now.saturating_duration_since(due);
        self.record.micros(if late < TIMER_ACCURACY { now } else { due })
    }

    pub(super) async fn act(&mut self, action: Action, due: Instant, client: &mut Client) -> Result<Next> {
        let since = self.since(due);
        let position = since / 1_000_000 % FILM;
        let frame = match action {
            Action::Position => format!(r#"{{"type":"POSITION_UPDATE","currentTime":{position},"isPlaying":true}}"#),
            Action::Heartbeat => format!(
                r#"{{"type":"HOST_HEARTBEAT","currentTime":{position},"isPlaying":true,"eventTimestamp":{since}}}"#
            ),
            Action::Seek => {
                self.record.count("seeks", 1);
                let target = rand::random_range(0..FILM);
                format!(r#"{{"type":"SEEK","currentTime":{target},"isPlaying":true,"eventTimestamp":{since}}}"#)
            }
            Action::Chat => {
                let (number, run) = (self.chats, self.connection);
                self.chats += 1;
                self.record.count("chats", 1);
                let text = "x".repeat(self.behaviour.chat_bytes);
                let data = format!(r#"{{"run":{run},"n":{number},"t0":{since},"text":"{text}"}}"#);
                format!(r#"{{"type":"BROADCAST","event":"chat","data":{data}}}"#)
            }
            Action::Reload => return Ok(Next::Reload),
            Action::Rejoin => return Ok(Next::Leave),
        };
        self.send(frame, client).await?;
        Ok(Next::Stay)
    }

    async fn send(&self, frame: String, client: &mut Client) -> Result<()> {
        self.record.count("sent", 1);
        client.send(frame).await
    }

    /// Checks a frame, and answers it as a browser would.
    pub(super) async fn receive(&mut self, frame: &str, sequence: &mut Sequence, client: &mut Client) -> Result<()> {
        self.record.count("delivered", 1);
        let Some(kind) = scan::text(frame, "\"type\":") else { return Ok(()) };
        match kind {
            "OFFER" | "ANSWER" | "ICE_CANDIDATE" => return self.receive_signal(kind, frame, sequence, client).await,
            "ROOM_STATE" => sequence.begin(frame),
            "ERROR" => self.record.error(format!("{}: {frame}", self.user)),
            "SERVER_DRAINING" => self.record.count("drainings", 1),
            _ => sequence.room(frame, self.record),
        }
        match kind {
            "BROADCAST" => self.receive_chat(frame, sequence),
            "HOST_HEARTBEAT" | "SEEK_PAUSE" | "PLAY_PAUSE" => {
                if let Some(since) = scan::number(frame, "\"eventTimestamp\":") {
                    self.record.arrived("playback", since);
                    let own = kind == "SEEK_PAUSE" && self.host && since >= self.connection;
                    self.record.count("seeks_received", u64::from(own));
                }
                if kind == "SEEK_PAUSE"
                    && !self.host
                    && let Some(target) = scan::number(frame, "\"currentTime\":")
                {
                    self.send(format!(r#"{{"type":"READY","targetTime":{target}}}"#), client).await?;
                }
            }
            "USER_LEFT" => self.record.count("announced_left", 1),
            "MEMBER_AWAY" => self.record.count("announced_away", 1),
            "USER_JOINED" if self.behaviour.calls => {
                if let Some(newcomer) = scan::text(frame, "\"userId\":").map(str::to_owned) {
                    self.signal("OFFER", &newcomer, client).await?;
                    self.candidates(&newcomer, client).await?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn receive_chat(&self, frame: &str, sequence: &mut Sequence) {
        let number = |key| scan::number(frame, key);
        if let (Some(run), Some(number), Some(since)) = (number("\"run\":"), number("\"n\":"), number("\"t0\":")) {
            sequence.chat(run, number, self.record);
            // The host receives its own messages: those that it sent on this connection were surely done.
            self.record.count("chats_received", u64::from(self.host && run == self.connection));
            self.record.arrived("chat", since);
        }
    }

    async fn receive_signal(
        &mut self,
        kind: &str,
        frame: &str,
        sequence: &mut Sequence,
        client: &mut Client,
    ) -> Result<()> {
        let (Some(from), Some(number), Some(since)) = (
            scan::text(frame, "\"from\":").map(str::to_owned),
            scan::number(frame, "\"n\":"),
            scan::number(frame, "\"t0\":"),
        ) else {
            return Ok(());
        };
        sequence.signal(&from, number, self.record);
        self.record.arrived("signal", since);
        match kind {
            "OFFER" => {
                self.signal("ANSWER", &from, client).await?;
                self.candidates(&from, client).await?;
            }
            "ANSWER" => self.record.count("calls", 1),
            _ => {}
        }
        Ok(())
    }

    async fn candidates(&mut self, to: &str, client: &mut Client) -> Result<()> {
        for _ in 0..CANDIDATES {
            self.signal("ICE_CANDIDATE", to, client).await?;
        }
        Ok(())
    }

    async fn signal(&mut self, kind: &str, to: &str, client: &mut Client) -> Result<()> {
        let number = self.signals.entry(to.to_owned()).or_default();
        let frame = signal(kind, to, *number, self.record.micros(Instant::now()));
        *number += 1;
        self.send(frame, client).await
    }
}
