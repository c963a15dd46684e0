//! Rooms whose hosts send by a schedule and whose members write down what arrives.

use std::{
    future::pending,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Result;
use tokio::{
    sync::mpsc::{Receiver, Sender, channel},
    task::JoinSet,
    time::sleep,
};

use crate::{
    client::Client,
    fleet::Cast,
    haul::{Haul, Outcome},
    latency::Latency,
    notes::Notes,
    pacer::pace,
    progress::Progress,
    schedule::Schedule,
    units::float,
};

/// How long the last deliveries of a round may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a server may work on after the last delivery and still be charged for it.
const AFTERMATH: Duration = Duration::from_millis(250);

/// Rooms full of clients, ready for any number of rounds.
#[derive(Debug)]
pub(crate) struct Stage {
    rooms: u32,
    members: u32,
    senders: u32,
    /// By room.
    orders: Vec<Vec<Sender<u64>>>,
    notes: Arc<Mutex<Notes>>,
    // The clients; they go with the stage.
    _tasks: JoinSet<()>,
    sent_per_room: u64,
}

/// When what is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Round {
    /// When it begins.
    pub(crate) start: Instant,
    /// Messages a second of all senders together.
    pub(crate) per_second: u64,
    /// How long.
    pub(crate) seconds: u32,
}

impl Stage {
    /// Brings the clients in. From then on each reads, and answers pings.
    pub(crate) async fn set(cast: &Cast, progress: &Progress) -> Result<Self> {
        let (members, senders) = (usize::try_from(cast.members)?, usize::try_from(cast.senders)?);
        let rooms = usize::try_from(cast.rooms)?;
        let notes = Arc::new(Mutex::new(Notes::new(rooms, members, senders)?));
        let mut orders = vec![Vec::new(); rooms];
        let mut tasks = JoinSet::new();
        let room_is_in = |place: u32, clients: Vec<Client>| {
            let Ok(room) = usize::try_from(place) else { return };
            for (member, client) in clients.into_iter().enumerate() {
                let mut own = None;
                if member < senders
                    && let Some(orders) = orders.get_mut(room)
                {
                    // A sender may fall behind by this much; more is counted as unsent.
                    let (sender, receiver) = channel(1024);
                    orders.push(sender);
                    own = Some(receiver);
                }
                tasks.spawn(play(client, own, Arc::clone(&notes), room, member));
            }
        };
        cast.gather(progress, room_is_in).await?;
        let Cast { rooms, members, senders, .. } = *cast;
        Ok(Self { rooms, members, senders, orders, notes, _tasks: tasks, sent_per_room: 0 })
    }

    /// Messages by every sender of every room in turn; returns when all has arrived, or nothing more comes.
    pub(crate) async fn round(&mut self, round: Round) -> Result<Haul> {
        let Round { start, per_second, seconds } = round;
        let schedule = Schedule::new(start, (self.rooms, self.senders), per_second, seconds, self.sent_per_room);
        let (delivered, faults) = {
            let mut notes = lock(&self.notes);
            notes.schedule = Some(schedule);
            notes.latency = Latency::new()?;
            (notes.delivered, notes.faults(self.sent_per_room))
        };
        let paced = pace(schedule, self.orders.clone()).await?;
        self.sent_per_room += schedule.count_per_room();

        let expected = schedule.count() * u64::from(self.members);
        let deadline = Instant::now() + PATIENCE;
        while lock(&self.notes).delivered < delivered + expected && Instant::now() < deadline {
            sleep(Duration::from_millis(10)).await;
        }
        sleep(AFTERMATH).await;
        let mut notes = lock(&self.notes);
        Ok(Haul {
            outcome: Outcome {
                sent: schedule.count(),
                expected,
                delivered: notes.delivered - delivered,
                unsent: paced.unsent,
                faults: notes.faults(self.sent_per_room) - faults,
                complaints: std::mem::take(&mut notes.complaints),
                first_complaint: notes.first_complaint.take(),
            },
            latency: notes.latency.clone(),
            lag: paced.lag,
        })
    }

    /// What was complained of since the last round.
    pub(crate) fn complaints(&self) -> (u64, Option<String>) {
        let mut notes = lock(&self.notes);
        (std::mem::take(&mut notes.complaints), notes.first_complaint.take())
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
