use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use anyhow::Result;

use super::{Habits, Record, Tick, ears::Ears, sdp::signal, spell::Deed};
use crate::{client::Client, scan};

/// Timers are good to a millisecond: what is due is late by that much through no fault of anybody. More counts.
const GRAIN: Duration = Duration::from_millis(2);

/// Candidates of each side of a call.
const CANDIDATES: u32 = 5;

/// The length of the film, in seconds.
const FILM: u64 = 5_000;

/// What follows from a deed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing.
    Stay,
    /// The socket breaks.
    Break,
    /// It breaks because the page is loaded anew.
    Reload,
    /// It gives back its seat, and comes anew.
    Leave,
}

/// One member on one socket: what it says, and what it makes of what it hears.
#[derive(Debug)]
pub(super) struct Voice<'a> {
    record: &'a Record,
    habits: &'a Habits,
    user: &'a str,
    first: bool,
    /// Which socket of this member: numbers begin anew with each.
    run: Tick,
    chats: u64,
    signals: HashMap<String, u64>,
}

impl<'a> Voice<'a> {
    /// A voice for a new socket.
    pub(super) fn new(record: &'a Record, habits: &'a Habits, user: &'a str, first: bool) -> Self {
        let run = record.tick(Instant::now());
        Self { record, habits, user, first, run, chats: 0, signals: HashMap::new() }
    }

    /// Since when it counts.
    fn since(&self, due: Instant) -> Tick {
        let now = Instant::now();
        let late = now.saturating_duration_since(due);
        self.record.tick(if late < GRAIN { now } else { due })
    }

    /// Does what is due.
    pub(super) async fn act(&mut self, deed: Deed, due: Instant, client: &mut Client) -> Result<Next> {
        let since = self.since(due);
        let position = since / 1_000_000 % FILM;
        let frame = match deed {
            Deed::Position => format!(r#"{{"type":"POSITION_UPDATE","currentTime":{position},"isPlaying":true}}"#),
            Deed::Heartbeat => format!(
                r#"{{"type":"HOST_HEARTBEAT","currentTime":{position},"isPlaying":true,"eventTimestamp":{since}}}"#
            ),
            Deed::Seek => {
                self.record.count("seeks", 1);
                let target = rand::random_range(0..FILM);
                format!(r#"{{"type":"SEEK","currentTime":{target},"isPlaying":true,"eventTimestamp":{since}}}"#)
            }
            Deed::Chat => {
                let (number, run) = (self.chats, self.run);
                self.chats += 1;
                self.record.count("chats", 1);
                let text = "x".repeat(self.habits.chat_bytes);
                format!(
                    r#"{{"type":"BROADCAST","event":"chat","data":{{"run":{run},"n":{number},"t0":{since},"text":"{text}"}}}}"#
                )
            }
            Deed::Reload => return Ok(Next::Reload),
            Deed::Rejoin => return Ok(Next::Leave),
        };
        self.say(frame, client).await?;
        Ok(Next::Stay)
    }

    async fn say(&self, frame: String, client: &mut Client) -> Result<()> {
        self.record.count("sent", 1);
        client.send(frame).await
    }

    /// Takes in a frame, and answers where people would.
    pub(super) async fn hear(&mut self, frame: &str, ears: &mut Ears, client: &mut Client) -> Result<()> {
        self.record.count("delivered", 1);
        let Some(kind) = scan::text(frame, "\"type\":") else { return Ok(()) };
        match kind {
            "OFFER" | "ANSWER" | "ICE_CANDIDATE" => return self.hear_signal(kind, frame, ears, client).await,
            "BROADCAST" => {
                ears.room(frame, self.record);
                if let (Some(run), Some(number), Some(since)) =
                    (scan::number(frame, "\"run\":"), scan::number(frame, "\"n\":"), scan::number(frame, "\"t0\":"))
                {
                    ears.chat(run, number, self.record);
                    // The host hears itself: what it has said on this socket was done.
                    self.record.count("chats_heard", u64::from(self.first && run == self.run));
                    self.record.arrived("chat", since);
                }
            }
            "ROOM_STATE" => ears.begin(frame),
            "ERROR" => self.record.complain(format!("{}: {frame}", self.user)),
            "SERVER_DRAINING" => self.record.count("drainings", 1),
            _ => ears.room(frame, self.record),
        }
        match kind {
            "HOST_HEARTBEAT" | "SEEK_PAUSE" | "PLAY_PAUSE" => {
                if let Some(since) = scan::number(frame, "\"eventTimestamp\":") {
                    self.record.arrived("playback", since);
                    let own = kind == "SEEK_PAUSE" && self.first && since >= self.run;
                    self.record.count("seeks_heard", u64::from(own));
                }
                if kind == "SEEK_PAUSE"
                    && !self.first
                    && let Some(target) = scan::number(frame, "\"currentTime\":")
                {
                    self.say(format!(r#"{{"type":"READY","targetTime":{target}}}"#), client).await?;
                }
            }
            "USER_LEFT" => self.record.count("announced_left", 1),
            "MEMBER_AWAY" => self.record.count("announced_away", 1),
            "USER_JOINED" if self.habits.mesh => {
                if let Some(newcomer) = scan::text(frame, "\"userId\":").map(str::to_owned) {
                    self.signal("OFFER", &newcomer, client).await?;
                    self.candidates(&newcomer, client).await?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    async fn hear_signal(&mut self, kind: &str, frame: &str, ears: &mut Ears, client: &mut Client) -> Result<()> {
        let (Some(from), Some(number), Some(since)) = (
            scan::text(frame, "\"from\":").map(str::to_owned),
            scan::number(frame, "\"n\":"),
            scan::number(frame, "\"t0\":"),
        ) else {
            return Ok(());
        };
        ears.signal(&from, number, self.record);
        self.record.arrived("signal", since);
        match kind {
            "OFFER" => {
                self.signal("ANSWER", &from, client).await?;
                self.candidates(&from, client).await
            }
            "ANSWER" => {
                self.record.count("calls", 1);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn candidates(&mut self, to: &str, client: &mut Client) -> Result<()> {
        for _ in 0..CANDIDATES {
            self.signal("ICE_CANDIDATE", to, client).await?;
        }
        Ok(())
    }

    async fn signal(&mut self, kind: &str, to: &str, client: &mut Client) -> Result<()> {
        let number = self.signals.entry(to.to_owned()).or_default();
        let frame = signal(kind, to, *number, self.record.tick(Instant::now()));
        *number += 1;
        self.say(frame, client).await
    }
}
