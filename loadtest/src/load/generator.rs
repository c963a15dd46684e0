use std::{
    future::pending,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Result;
use tokio::{
    sync::mpsc::{self, Sender, channel},
    task::JoinSet,
    time::sleep,
};

use super::{Message, Outcome, Plan, Schedule, pacer::pace, receiver::Receiver};
use crate::{client::Client, measure::Latency, progress::Progress};

/// Limit for the last deliveries of a round.
const PATIENCE: Duration = Duration::from_secs(5);

/// Time after the last delivery in which the work of a server still counts.
const AFTERMATH: Duration = Duration::from_millis(250);

/// Messages that may wait for their sender; more are counted as unsent.
const QUEUE: usize = 1024;

/// The clients of a plan, joined and ready for any number of rounds.
#[derive(Debug)]
pub(crate) struct Generator {
    plan: Plan,
    /// By room and sender.
    senders: Vec<Vec<Sender<u64>>>,
    receiver: Arc<Mutex<Receiver>>,
    // The clients end with the generator.
    _clients: JoinSet<()>,
    sent_per_room: u64,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Round {
    pub(crate) start: Instant,
    /// Messages a second of all senders together.
    pub(crate) per_second: u64,
    pub(crate) seconds: u32,
}

impl Generator {
    /// Joins all clients. From then on each reads, and answers pings.
    pub(crate) async fn join(plan: Plan, progress: &Progress) -> Result<Self> {
        let sending = usize::try_from(plan.senders)?;
        let receiver = Arc::new(Mutex::new(Receiver::new(&plan)?));
        let mut senders = vec![Vec::new(); usize::try_from(plan.rooms)?];
        let mut tasks = JoinSet::new();
        let room_joined = |place: u32, clients: Vec<(Client, String)>| {
            let Ok(room) = usize::try_from(place) else { return };
            for (member, (client, to)) in clients.into_iter().enumerate() {
                let mut numbers = None;
                if member < sending
                    && let Some(room) = senders.get_mut(room)
                {
                    let (sender, receiver) = channel(QUEUE);
                    room.push(sender);
                    numbers = Some(receiver);
                }
                let own = Member { client, to, numbers, message: plan.message, room, place: member };
                tasks.spawn(own.live(Arc::clone(&receiver)));
            }
        };
        plan.join(progress, room_joined).await?;
        Ok(Self { plan, senders, receiver, _clients: tasks, sent_per_room: 0 })
    }

    /// Sends a round; returns when all messages have arrived, or no more come.
    pub(crate) async fn round(&mut self, round: Round) -> Result<Outcome> {
        let Plan { rooms, members, senders, together, message, .. } = self.plan;
        let schedule = Schedule::new(round.start, rooms, senders, together);
        let schedule = schedule.lasting(round.per_second, round.seconds, self.sent_per_room);
        let (delivered, faults) = {
            let mut receiver = lock(&self.receiver);
            receiver.schedule = Some(schedule);
            receiver.latency = Latency::new()?;
            (receiver.delivered, receiver.faults(self.sent_per_room))
        };
        let paced = pace(schedule, self.senders.clone()).await?;
        self.sent_per_room += schedule.count_per_room();

        let expected = schedule.count() * u64::from(message.receivers(members));
        let deadline = Instant::now() + PATIENCE;
        while lock(&self.receiver).delivered < delivered + expected && Instant::now() < deadline {
            sleep(Duration::from_millis(10)).await;
        }
        sleep(AFTERMATH).await;
        let mut receiver = lock(&self.receiver);
        let (errors, first_error) = receiver.take_errors();
        Ok(Outcome {
            sent: schedule.count(),
            expected,
            delivered: receiver.delivered - delivered,
            unsent: paced.unsent,
            faults: receiver.faults(self.sent_per_room) - faults,
            errors,
            first_error,
            latency: receiver.latency.clone(),
            lag: paced.lag,
        })
    }

    /// The number of errors since the last round, and the first of them.
    pub(crate) fn take_errors(&self) -> (u64, Option<String>) {
        lock(&self.receiver).take_errors()
    }
}

struct Member {
    client: Client,
    /// The address that it sends signals to.
    to: String,
    /// The numbers of the messages that it is told to send.
    numbers: Option<mpsc::Receiver<u64>>,
    message: Message,
    room: usize,
    place: usize,
}

impl Member {
    /// Sends what it is told, and records what it receives.
    async fn live(mut self, receiver: Arc<Mutex<Receiver>>) {
        if let Err(error) = self.run(&receiver).await {
            lock(&receiver).fail(format!("{error:#}"));
        }
    }

    async fn run(&mut self, receiver: &Mutex<Receiver>) -> Result<()> {
        let Self { client, to, numbers, message, room, place } = self;
        loop {
            let number = async {
                match numbers {
                    Some(numbers) => numbers.recv().await,
                    None => pending().await,
                }
            };
            tokio::select! {
                frame = client.receive() => lock(receiver).receive(&frame?, *room, *place),
                number = number => match number {
                    Some(number) if message.is_signal() => client.send_to(to, message.frame(number, to)).await?,
                    Some(number) => client.send(message.frame(number, to)).await?,
                    None => return Ok(()),
                },
            }
        }
    }
}

fn lock(receiver: &Mutex<Receiver>) -> MutexGuard<'_, Receiver> {
    receiver.lock().unwrap_or_else(PoisonError::into_inner)
}
