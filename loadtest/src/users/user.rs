use std::{
    net::Ipv4Addr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use tokio::{
    sync::{oneshot, watch},
    time::{sleep, sleep_until, timeout},
};

use super::{
    Behaviour, Record, Sequence,
    session::{Next, Session},
    timers::Timers,
};
use crate::client::{Client, Event, Target, scan};

/// Limit for the answer to JOIN or RESUME.
const PATIENCE: Duration = Duration::from_secs(20);

/// Limit for the server to close the connection after LEAVE.
const GOODBYE: Duration = Duration::from_secs(5);

/// The longest wait between two attempts to connect.
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);

/// Refused attempts in a row that are an error.
const MAX_REFUSALS: u32 = 9;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Command {
    /// How often all connections were broken so far.
    pub(super) breaks: u64,
    /// The time over which users then come back.
    pub(super) jitter: Duration,
    /// The scenario is over.
    pub(super) over: bool,
}

/// A member of a room, through all of its connections.
#[derive(Debug)]
pub(super) struct User {
    pub(super) room: String,
    /// The number of the member; 0 is the host.
    pub(super) member: u32,
    pub(super) behaviour: Behaviour,
    /// Whether it stops reading.
    pub(super) stalls: bool,
    pub(super) targets: Arc<[Target]>,
    /// The number of the node that it connects to.
    pub(super) node: usize,
    /// The address that it connects from.
    pub(super) source: Option<Ipv4Addr>,
    pub(super) commands: watch::Receiver<Command>,
    pub(super) record: Arc<Record>,
    /// Told when the user has joined for the first time.
    pub(super) joined: Option<oneshot::Sender<()>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// It broke or was closed; the membership is still there.
    Lost,
    /// The same, and the server asks the user to connect to another node.
    Moved,
    /// The page was reloaded.
    Reload,
    /// The user has left the room.
    Left,
    /// The scenario is over.
    Over,
}

impl User {
    pub(super) async fn live(mut self) {
        let mut sequence = Sequence::default();
        let mut timers = Timers::new(&self.behaviour, self.member == 0);
        let mut token: Option<String> = None;
        let mut lost: Option<Instant> = None;
        let (mut refusals, mut wait) = (0, Duration::ZERO);
        while !self.commands.borrow().over {
            if !wait.is_zero() {
                sleep(wait).await;
            }
            self.record.count("attempts", 1);
            let client = match self.enter(&mut sequence, &mut token).await {
                Ok(client) => client,
                Err(error) => {
                    self.record.count("refused", 1);
                    refusals += 1;
                    if refusals == MAX_REFUSALS {
                        self.record.error(format!("refused {refusals} times in a row: {error:#}"));
                    }
                    self.node += 1;
                    wait = backoff(self.behaviour.backoff, refusals);
                    continue;
                }
            };
            refusals = 0;
            match lost.take() {
                Some(since) => {
                    self.record.count("returned", 1);
                    self.record.arrived("return", self.record.micros(since));
                }
                None => self.record.count("joined", 1),
            }
            if let Some(joined) = self.joined.take() {
                let _ = joined.send(());
            }
            timers.skip(Instant::now());
            let end = self.stay(client, &mut sequence, &mut timers, &mut token).await;
            wait = Duration::ZERO;
            match end {
                End::Over => break,
                End::Left => token = None,
                End::Moved | End::Lost | End::Reload => {
                    lost = Some(Instant::now());
                    self.node += usize::from(end == End::Moved);
                    if end == End::Lost {
                        wait = self.commands.borrow().jitter.mul_f64(rand::random());
                    }
                }
            }
        }
    }

    fn name(&self) -> String {
        format!("{}-{}", self.room, self.member)
    }

    /// Connects, and resumes if it can, or joins.
    async fn enter(&mut self, sequence: &mut Sequence, token: &mut Option<String>) -> Result<Client> {
        let begun = Instant::now();
        let target = self.targets.get(self.node % self.targets.len().max(1)).context("there is no server")?;
        let mut client = Client::connect(target, self.source, self.stalls).await?;
        let (room, user) = (&self.room, self.name());
        let fields = format!(r#""roomId":"{room}","userId":"{user}","features":["resume","ack"]"#);
        let join = format!(r#"{{"type":"JOIN","username":"{user}",{fields}}}"#);
        match (token.take(), sequence.position()) {
            (Some(token), Some((epoch, version))) => {
                let from = format!(r#""resumeToken":"{token}","epoch":{epoch},"version":{version}"#);
                client.send(format!(r#"{{"type":"RESUME",{from},{fields}}}"#)).await?;
            }
            _ => client.send(join.clone()).await?,
        }
        let answer = async {
            loop {
                let frame = client.receive().await?;
                match scan::text(&frame, "\"type\":") {
                    Some("RESUMED") => {
                        sequence.forget_signals();
                        self.record.count("resumed", 1);
                        return Ok(frame);
                    }
                    Some("ROOM_STATE") => {
                        sequence.begin(&frame);
                        return Ok(frame);
                    }
                    Some("DISCONTINUITY") => self.record.count("discontinuities", 1),
                    Some("ERROR") if frame.contains("\"not_joined\"") => {
                        // The membership is gone.
                        self.record.count("seats_gone", 1);
                        client.send(join.clone()).await?;
                    }
                    Some("ERROR") => bail!("{frame}"),
                    _ => {}
                }
            }
        };
        let frame = timeout(PATIENCE, answer).await.context("no answer to JOIN or RESUME")??;
        *token = scan::text(&frame, "\"resumeToken\":").map(str::to_owned);
        self.record.arrived("join", self.record.micros(begun));
        Ok(client)
    }

    /// Stays in the room until the connection ends.
    async fn stay(
        &mut self,
        mut client: Client,
        sequence: &mut Sequence,
        timers: &mut Timers,
        token: &mut Option<String>,
    ) -> End {
        let breaks = self.commands.borrow().breaks;
        let name = self.name();
        let mut session = Session::new(&self.record, &self.behaviour, &name, self.member == 0);
        loop {
            let next = timers.next();
            let due = async {
                match next {
                    Some(at) => sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            let done = tokio::select! {
                event = client.next(), if !self.stalls => match event {
                    Ok(Event::Text(frame)) => session.receive(&frame, sequence, &mut client).await.map(|()| Next::Stay),
                    Ok(Event::Close(code)) => return self.closed(code),
                    Err(_) => return self.closed(None),
                },
                () = due => match timers.take(Instant::now()) {
                    Some((action, due)) => session.act(action, due, &mut client).await,
                    None => Ok(Next::Stay),
                },
                changed = self.commands.changed() => {
                    let command = *self.commands.borrow();
                    if command.over || changed.is_err() {
                        self.leave(client).await;
                        return End::Over;
                    }
                    if command.breaks > breaks { Ok(Next::Break) } else { Ok(Next::Stay) }
                }
            };
            match done {
                Ok(Next::Stay) => {}
                Ok(Next::Break) => return End::Lost,
                Ok(Next::Reload) => return End::Reload,
                Ok(Next::Leave) => {
                    *token = None;
                    self.leave(client).await;
                    return End::Left;
                }
                Err(_) => return self.closed(None),
            }
        }
    }

    fn closed(&self, code: Option<u16>) -> End {
        match code {
            Some(1012) => {
                self.record.count("moved", 1);
                End::Moved
            }
            Some(code) => {
                self.record.error(format!("{}: closed with code {code}", self.name()));
                End::Lost
            }
            None => {
                self.record.count("broken", 1);
                End::Lost
            }
        }
    }

    /// Leaves, and reads until the server has closed the connection. A user that had stopped reading finds out whether it was given up.
    async fn leave(&self, mut client: Client) {
        let goodbye = async {
            if !self.stalls {
                client.send(r#"{"type":"LEAVE"}"#.to_owned()).await?;
            }
            loop {
                if let Event::Close(_) = client.next().await? {
                    return anyhow::Ok(());
                }
            }
        };
        // A close code hardly reaches a user whose buffers are full: what it finds is a connection that has ended.
        if timeout(GOODBYE, goodbye).await.is_ok() && self.stalls {
            self.record.count("given_up", 1);
        }
    }
}

/// The wait before the next attempt to connect.
fn backoff(first: Duration, refusals: u32) -> Duration {
    let wait = first.saturating_mul(1 << refusals.min(10)).min(LONGEST_BACKOFF);
    wait.mul_f64(0.5 + 0.5 * rand::random::<f64>())
}
