use std::{
    net::Ipv4Addr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use tokio::{
    sync::watch,
    time::{sleep, sleep_until, timeout},
};

use super::{
    Habits, Record, Return,
    ears::Ears,
    spell::Spells,
    talk::{Next, Voice},
};
use crate::{
    client::{Client, Said},
    scan,
    target::Target,
};

/// How long an answer to JOIN or RESUME may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long the server may take to close after LEAVE.
const GOODBYE: Duration = Duration::from_secs(5);

/// What everybody is told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Order {
    /// How often all sockets were to break.
    pub(crate) cuts: u64,
    /// Over how long they then come back.
    pub(crate) jitter: Duration,
    /// Time to go.
    pub(crate) over: bool,
}

/// One member of one room, for as long as the scenario lasts.
#[derive(Debug)]
pub(crate) struct Bot {
    /// The room.
    pub(crate) room: String,
    /// Which member of it; the first is the host.
    pub(crate) member: u32,
    /// What it does.
    pub(crate) habits: Habits,
    /// Whether it is the one that stops reading, where there is one.
    pub(crate) stalls: bool,
    /// The nodes.
    pub(crate) targets: Arc<[Target]>,
    /// Which of them it goes to first.
    pub(crate) at: usize,
    /// The address that it connects from.
    pub(crate) source: Option<Ipv4Addr>,
    /// What it is told.
    pub(crate) orders: watch::Receiver<Order>,
    /// Where it writes down what happens.
    pub(crate) record: Arc<Record>,
    /// Told when it is in for the first time.
    pub(crate) arrived: Option<tokio::sync::oneshot::Sender<()>>,
}

/// Why somebody has no socket any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// It broke, or was closed: the seat is still there.
    Lost,
    /// The same, and the server asks to go elsewhere, at once.
    Moved,
    /// A page was loaded anew.
    Reload,
    /// The seat was given back; it comes anew.
    Left,
    /// All is over.
    Over,
}

impl Bot {
    /// Until all is over.
    pub(crate) async fn live(mut self) {
        let mut ears = Ears::default();
        let mut spells = Spells::new(&self.habits, self.member == 0);
        let mut token: Option<String> = None;
        let mut lost: Option<Instant> = None;
        let mut tries = 0;
        let mut wait = Duration::ZERO;
        while !self.orders.borrow().over {
            if !wait.is_zero() {
                sleep(wait).await;
            }
            self.record.count("attempts", 1);
            let entered = self.enter(&mut ears, &mut token).await;
            let client = match entered {
                Ok(client) => client,
                Err(error) => {
                    self.record.count("refused", 1);
                    note_refusal(&self.record, &error, tries);
                    tries += 1;
                    self.at += 1;
                    wait = backoff(self.habits.back, tries);
                    continue;
                }
            };
            tries = 0;
            match lost.take() {
                Some(since) => {
                    self.record.count("returned", 1);
                    self.record.arrived("return", self.record.tick(since));
                }
                None => self.record.count("joined", 1),
            }
            if let Some(arrived) = self.arrived.take() {
                let _ = arrived.send(());
            }
            spells.skip(Instant::now());
            let end = self.stay(client, &mut ears, &mut spells, &mut token).await;
            wait = Duration::ZERO;
            match end {
                End::Over => break,
                End::Left => token = None,
                End::Moved | End::Lost | End::Reload => {
                    lost = Some(Instant::now());
                    self.at += usize::from(end == End::Moved);
                    if end == End::Lost {
                        wait = self.orders.borrow().jitter.mul_f64(rand::random());
                    }
                }
            }
        }
    }

    fn user(&self) -> String {
        format!("{}-{}", self.room, self.member)
    }

    /// Connects, and takes its seat, the old one if it can.
    async fn enter(&mut self, ears: &mut Ears, token: &mut Option<String>) -> Result<Client> {
        let begun = Instant::now();
        let target = self.targets.get(self.at % self.targets.len().max(1)).context("there is no server")?;
        let mut client = Client::dial(target, self.source, self.stalls).await?;
        let (room, user) = (&self.room, self.user());
        let features = r#""features":["resume","ack"]"#;
        let who = format!(r#""roomId":"{room}","userId":"{user}",{features}"#);
        let join = format!(r#"{{"type":"JOIN","username":"{user}",{who}}}"#);
        match (token.take(), ears.point()) {
            (Some(token), Some((epoch, version))) => {
                let from = format!(r#""resumeToken":"{token}","epoch":{epoch},"version":{version}"#);
                client.send(format!(r#"{{"type":"RESUME",{from},{who}}}"#)).await?;
            }
            _ => client.send(join.clone()).await?,
        }
        let answer = async {
            loop {
                let frame = client.receive().await?;
                if scan::is_type(&frame, "RESUMED") {
                    ears.forget_signals();
                    self.record.count("resumed", 1);
                } else if scan::is_type(&frame, "ROOM_STATE") {
                    ears.begin(&frame);
                } else if scan::is_type(&frame, "DISCONTINUITY") {
                    self.record.count("discontinuities", 1);
                    continue;
                } else if scan::is_type(&frame, "ERROR") && frame.contains("\"not_joined\"") {
                    // The seat is gone.
                    self.record.count("seats_gone", 1);
                    client.send(join.clone()).await?;
                    continue;
                } else if scan::is_type(&frame, "ERROR") {
                    bail!("{frame}");
                } else {
                    continue;
                }
                *token = scan::text(&frame, "\"resumeToken\":").map(str::to_owned);
                return Ok(());
            }
        };
        timeout(PATIENCE, answer).await.context("no answer to JOIN or RESUME")??;
        self.record.arrived("join", self.record.tick(begun));
        Ok(client)
    }

    /// Lives in the room until something ends that.
    async fn stay(
        &mut self,
        mut client: Client,
        ears: &mut Ears,
        spells: &mut Spells,
        token: &mut Option<String>,
    ) -> End {
        let cuts = self.orders.borrow().cuts;
        let user = self.user();
        let mut voice = Voice::new(&self.record, &self.habits, &user, self.member == 0);
        loop {
            let next = spells.next();
            let due = async {
                match next {
                    Some(at) => sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            let done = tokio::select! {
                said = client.next(), if !self.stalls => match said {
                    Ok(Said::Text(frame)) => voice.hear(&frame, ears, &mut client).await.map(|()| Next::Stay),
                    Ok(Said::Close(code)) => return self.closed(code),
                    Err(_) => return self.closed(None),
                },
                () = due => match spells.take(Instant::now()) {
                    Some((deed, due)) => voice.act(deed, due, &mut client).await,
                    None => Ok(Next::Stay),
                },
                changed = self.orders.changed() => {
                    let order = *self.orders.borrow();
                    if order.over || changed.is_err() {
                        self.leave(client).await;
                        return End::Over;
                    }
                    if order.cuts > cuts { Ok(Next::Break) } else { Ok(Next::Stay) }
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
                self.record.complain(format!("{}: closed with {code}", self.user()));
                End::Lost
            }
            None => {
                self.record.count("broken", 1);
                End::Lost
            }
        }
    }

    /// Says goodbye, and reads on until the server has closed: whoever stalled finds out here what became of it.
    async fn leave(&self, mut client: Client) {
        let farewell = async {
            if !self.stalls {
                client.send(r#"{"type":"LEAVE"}"#).await?;
            }
            loop {
                if let Said::Close(_) = client.next().await? {
                    return anyhow::Ok(());
                }
            }
        };
        // The word that it was given up hardly reaches one whose buffers are full: what it finds is a socket that has ended.
        if timeout(GOODBYE, farewell).await.is_ok() && self.stalls {
            self.record.count("given_up", 1);
        }
    }
}

/// How long until the next try.
fn backoff(back: Return, tries: u32) -> Duration {
    let wait = back.backoff.saturating_mul(1 << tries.min(10)).min(Return::LONGEST);
    wait.mul_f64(0.5 + 0.5 * rand::random::<f64>())
}

/// A refusal at the door is part of the game, but not for ever.
fn note_refusal(record: &Record, error: &anyhow::Error, tries: u32) {
    if tries == 8 {
        record.complain(format!("nobody lets it in: {error:#}"));
    }
}
