//! Rooms whose hosts send by a schedule and whose members write down what arrives.

use std::{
    future::pending,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use tokio::{
    sync::mpsc::{Receiver, Sender, channel},
    task::JoinSet,
    time::sleep,
};

use crate::{
    client::Client,
    fleet::{Cast, Fleet, MEMBERS},
    latency::Latency,
    meter::{Meter, Meters},
    notes::Notes,
    pacer::pace,
    progress::Progress,
    scenario::control::{Figures, Share},
    schedule::Schedule,
    units::float,
};

/// How long the last deliveries of a round may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a server may work on after the last delivery and still be charged for it.
const AFTERMATH: Duration = Duration::from_millis(250);

/// How far ahead a round is planned, so that its first message is not late.
const LEAD: Duration = Duration::from_millis(50);

/// Rooms full of clients, ready for any number of rounds.
#[derive(Debug)]
pub(crate) struct Stage {
    meters: Meters,
    rooms: u32,
    senders: u32,
    /// By room.
    orders: Vec<Vec<Sender<u64>>>,
    notes: Arc<Mutex<Notes>>,
    // The clients; they go with the stage.
    _tasks: JoinSet<()>,
    sent_per_room: u64,
    unsent: u64,
    lag: Latency,
}

impl Stage {
    /// Brings the clients in.
    pub(crate) async fn set(cast: &Cast<'_>, meters: Vec<Meter>, progress: &Progress) -> Result<Self> {
        let fleet = Fleet::gather(cast, progress).await?;
        let (members, senders) = (usize::try_from(MEMBERS)?, usize::try_from(cast.senders)?);
        let notes = Arc::new(Mutex::new(Notes::new(fleet.rooms.len(), members, senders)?));
        let mut orders = Vec::new();
        let mut tasks = JoinSet::new();
        for (room, clients) in fleet.rooms.into_iter().enumerate() {
            let mut of_room = Vec::new();
            for (member, client) in clients.into_iter().enumerate() {
                let mut own = None;
                if member < senders {
                    // A sender may fall behind by this much; more is counted as unsent.
                    let (sender, receiver) = channel(1024);
                    of_room.push(sender);
                    own = Some(receiver);
                }
                tasks.spawn(play(client, own, Arc::clone(&notes), room, member));
            }
            orders.push(of_room);
        }
        Ok(Self {
            meters: Meters::new(meters),
            rooms: cast.rooms,
            senders: cast.senders,
            orders,
            notes,
            _tasks: tasks,
            sent_per_room: 0,
            unsent: 0,
            lag: Latency::new()?,
        })
    }

    /// A short round that is checked but not measured.
    pub(crate) async fn warm_up(&mut self, rate: u32) -> Result<()> {
        self.round(rate, 2).await?;
        self.meters.reset();
        self.lag = Latency::new()?;
        lock(&self.notes).latency = Latency::new()?;
        Ok(())
    }

    /// `seconds` of `rate` messages a second by every sender of every room; returns when all has arrived.
    pub(crate) async fn round(&mut self, rate: u32, seconds: u32) -> Result<()> {
        let cpu = self.meters.read()?;
        let of = (self.rooms, self.senders);
        let schedule = Schedule::new(Instant::now() + LEAD, of, rate, seconds, self.sent_per_room);
        let before = {
            let mut notes = lock(&self.notes);
            notes.schedule = Some(schedule);
            notes.delivered
        };
        let paced = pace(schedule, self.orders.clone()).await?;
        self.sent_per_room += schedule.count_per_room();
        self.unsent += paced.unsent;
        self.lag.add(&paced.lag)?;

        let expected = before + schedule.count() * u64::from(MEMBERS);
        let deadline = Instant::now() + PATIENCE;
        while lock(&self.notes).delivered < expected && Instant::now() < deadline {
            sleep(Duration::from_millis(10)).await;
        }
        sleep(AFTERMATH).await;
        let delivered = lock(&self.notes).delivered - before;
        if delivered == 0 {
            let first = lock(&self.notes).first_complaint.take();
            bail!("nothing was delivered; {}", first.unwrap_or_else(|| "nobody complained".into()));
        }
        self.meters.note(&cpu, delivered)
    }

    /// The figures of all rounds.
    pub(crate) fn figures(&self) -> Figures {
        let notes = lock(&self.notes);
        let sent = self.sent_per_room * u64::from(self.rooms);
        let rounds = self.meters.totals();
        Figures {
            sent,
            expected: sent * u64::from(MEMBERS),
            delivered: notes.delivered,
            unsent: self.unsent,
            faults: notes.faults(self.sent_per_room),
            complaints: notes.complaints,
            first_complaint: notes.first_complaint.clone(),
            latency: notes.latency.summary(),
            generator_lag: self.lag.summary(),
            cpu: Share::median(&rounds),
            rounds,
            parts: self.meters.parts(),
        }
    }
}

/// One client: sends what it is told, writes down what it gets.
async fn play(
    mut client: Client,
    mut orders: Option<Receiver<u64>>,
    notes: Arc<Mutex<Notes>>,
    room: usize,
    member: usize,
) {
    let outcome: Result<()> = async {
        loop {
            let order = async {
                match &mut orders {
                    Some(orders) => orders.recv().await,
                    None => pending().await,
                }
            };
            tokio::select! {
                frame = client.receive() => lock(&notes).take(&frame?, room, member),
                order = order => match order {
                    Some(sequence) => client.send(message(sequence)).await?,
                    None => return Ok(()),
                },
            }
        }
    }
    .await;
    if let Err(error) = outcome {
        lock(&notes).complain(format!("{error:#}"));
    }
}

/// The message with that number: even ones play, odd ones pause, and `currentTime` carries the number.
fn message(sequence: u64) -> String {
    let control = if sequence.is_multiple_of(2) { "play" } else { "pause" };
    format!(r#"{{"type":"PLAY_PAUSE","control":"{control}","currentTime":{:.1}}}"#, float(sequence) + 0.5)
}

fn lock(notes: &Mutex<Notes>) -> MutexGuard<'_, Notes> {
    notes.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::{self, Beat};

    #[test]
    fn a_message_is_what_its_receiver_looks_for() {
        assert_eq!(message(3), r#"{"type":"PLAY_PAUSE","control":"pause","currentTime":3.5}"#);
        for sequence in [0, 1, 9_999_999] {
            assert_eq!(scan::beat(&message(sequence)), Some(Beat { sequence, version: None }));
        }
    }
}
