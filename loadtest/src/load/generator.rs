use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{
        mpsc::{Sender, channel},
        watch,
    },
    task::JoinSet,
    time::{sleep, sleep_until},
};

use super::{Outcome, Plan, Returns, Schedule, member::Member, pacer::pace, receiver::Receiver};
use crate::{client::Client, measure::Latency};

/// Limit for the last deliveries of a round.
const PATIENCE: Duration = Duration::from_secs(5);

/// The same while members have yet to come back.
const RETURN: Duration = Duration::from_mins(1);

/// Time after the last delivery in which the work of a server still counts.
const AFTERMATH: Duration = Duration::from_millis(250);

/// Messages that may wait for their sender; more are counted as unsent.
const QUEUE: usize = 1024;

/// The clients of a plan, joined and ready for any number of rounds.
#[derive(Debug)]
pub(crate) struct Generator {
    plan: Arc<Plan>,
    /// By room and sender.
    senders: Vec<Vec<Sender<u64>>>,
    receiver: Arc<Mutex<Receiver>>,
    breaks: watch::Sender<Duration>,
    // The clients end with the generator.
    _clients: JoinSet<()>,
    sent_per_room: u64,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Round {
    /// Messages a second of all senders together.
    pub(crate) per_second: u64,
    pub(crate) seconds: u32,
    /// All connections break in the middle, and the members come back within so many milliseconds.
    pub(crate) break_within_ms: Option<u64>,
}

impl Round {
    pub(crate) fn new(per_second: u64, seconds: u32) -> Self {
        Self { per_second, seconds, break_within_ms: None }
    }
}

impl Generator {
    /// Joins all clients. From then on each reads, and answers pings.
    pub(crate) async fn join(plan: Plan) -> Result<Self> {
        let plan = Arc::new(plan);
        let receiver = Arc::new(Mutex::new(Receiver::new(&plan)?));
        let (breaks, broken) = watch::channel(Duration::ZERO);
        let mut senders = vec![Vec::new(); usize::try_from(plan.rooms)?];
        let mut tasks = JoinSet::new();
        let room_joined = |room: u32, clients: Vec<(Client, String)>| {
            let own = usize::try_from(room).ok().and_then(|room| senders.get_mut(room));
            let Some(own) = own else { return };
            for (place, (client, to)) in (0..).zip(clients) {
                let mut numbers = None;
                if place < plan.senders {
                    let (sender, receiver) = channel(QUEUE);
                    own.push(sender);
                    numbers = Some(receiver);
                }
                let (plan, receiver, breaks) = (Arc::clone(&plan), Arc::clone(&receiver), broken.clone());
                let (unconfirmed, moved) = (Vec::new(), 0);
                let member = Member { plan, room, place, client, to, numbers, receiver, breaks, unconfirmed, moved };
                tasks.spawn(member.live());
            }
        };
        plan.join(room_joined).await?;
        Ok(Self { plan, senders, receiver, breaks, _clients: tasks, sent_per_room: 0 })
    }

    /// Sends a round; returns when all messages have arrived, or no more come.
    pub(crate) async fn round(&mut self, start: Instant, round: Round) -> Result<Outcome> {
        let Plan { rooms, members, senders, message, .. } = *self.plan;
        let schedule =
            Schedule::new(start, rooms, senders).lasting(round.per_second, round.seconds, self.sent_per_room);
        let (delivered, faults) = {
            let mut receiver = lock(&self.receiver);
            receiver.schedule = Some(schedule);
            receiver.latency = Latency::new()?;
            (receiver.delivered, receiver.faults(self.sent_per_room))
        };
        let (paced, ()) = tokio::join!(pace(schedule, self.senders.clone()), self.break_all(start, round));
        let paced = paced?;
        self.sent_per_room += schedule.count_per_room();

        let expected = schedule.count() * u64::from(message.receivers(members));
        let sent = Instant::now();
        loop {
            let (missing, away) = {
                let receiver = lock(&self.receiver);
                (receiver.delivered < delivered + expected, receiver.returns.away() > 0)
            };
            let patience = if away { RETURN } else { PATIENCE };
            if !(missing || away) || sent.elapsed() > patience {
                break;
            }
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
            returns: std::mem::replace(&mut receiver.returns, Returns::new()?),
            latency: receiver.latency.clone(),
            lag: paced.lag,
        })
    }

    /// Breaks all connections in the middle of a round that asks for it.
    async fn break_all(&self, start: Instant, round: Round) {
        if let Some(within) = round.break_within_ms {
            sleep_until((start + Duration::from_secs(round.seconds.into()) / 2).into()).await;
            self.breaks.send_replace(Duration::from_millis(within));
        }
    }

    /// The number of errors since the last round, and the first of them.
    pub(crate) fn take_errors(&self) -> (u64, Option<String>) {
        lock(&self.receiver).take_errors()
    }
}

pub(super) fn lock(receiver: &Mutex<Receiver>) -> MutexGuard<'_, Receiver> {
    receiver.lock().unwrap_or_else(PoisonError::into_inner)
}
