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

use super::{
    Outcome, Plan, Returns, Schedule,
    balancer::Balancer,
    member::{Member, Orders},
    pacer::pace,
    receiver::Receiver,
    roll_call::RollCall,
};
use crate::client::Client;

/// Limit for the last deliveries of a round.
const PATIENCE: Duration = Duration::from_secs(5);

/// The same while members have yet to come back.
const RETURN: Duration = Duration::from_mins(3);

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
    orders: watch::Sender<Orders>,
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
        let (orders, heard) = watch::channel(Orders::default());
        let balancer = Arc::new(Balancer::new(plan.targets.len(), plan.returning_at_once.into()));
        let mut senders = vec![Vec::new(); usize::try_from(plan.playing())?];
        let mut tasks = JoinSet::new();
        let room_joined = |room: u32, clients: Vec<(Client, String)>| {
            let mut own = usize::try_from(room).ok().and_then(|room| senders.get_mut(room));
            for (place, (client, to)) in (0..).zip(clients) {
                let mut numbers = None;
                if let Some(own) = &mut own
                    && place < plan.senders
                {
                    let (sender, receiver) = channel(QUEUE);
                    own.push(sender);
                    numbers = Some(receiver);
                }
                let node = plan.home(room, place);
                balancer.enter(node);
                let (plan, receiver, orders) = (Arc::clone(&plan), Arc::clone(&receiver), heard.clone());
                let (client, balancer, unconfirmed) = (Some(client), Arc::clone(&balancer), Vec::new());
                let member =
                    Member { plan, room, place, client, to, numbers, receiver, orders, unconfirmed, balancer, node };
                tasks.spawn(member.live());
            }
        };
        let refused = plan.join(room_joined).await?;
        lock(&receiver).returns.note_refused(refused.into());
        Ok(Self { plan, senders, receiver, orders, _clients: tasks, sent_per_room: 0 })
    }

    /// Sends a round; returns when all messages have arrived, or no more come.
    pub(crate) async fn round(&mut self, start: Instant, round: Round) -> Result<Outcome> {
        let Plan { members, senders, message, .. } = *self.plan;
        let schedule = Schedule::new(start, self.plan.playing(), senders).lasting(
            round.per_second,
            round.seconds,
            self.sent_per_room,
        );
        let (delivered, faults) = {
            let mut receiver = lock(&self.receiver);
            receiver.begin(schedule)?;
            (receiver.delivered, receiver.faults(self.sent_per_room))
        };
        let (paced, ()) = tokio::join!(pace(schedule, self.senders.clone()), self.break_all(start, round));
        let paced = paced?;
        let before = self.sent_per_room;
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
            others: receiver.others.clone(),
            skipped: receiver.skipped(&(before..self.sent_per_room)),
            lag: paced.lag,
        })
    }

    /// Breaks all connections in the middle of a round that asks for it.
    async fn break_all(&self, start: Instant, round: Round) {
        if let Some(within) = round.break_within_ms {
            sleep_until((start + Duration::from_secs(round.seconds.into()) / 2).into()).await;
            self.orders.send_modify(|orders| orders.break_off(Duration::from_millis(within)));
        }
    }

    /// One member of each room calls, within so many seconds, and every member is to hear it. In the outcome, a delivery is a member that has.
    pub(crate) async fn call_roll(&mut self, number: u64, seconds: u32) -> Result<Outcome> {
        let Plan { rooms, members, .. } = *self.plan;
        lock(&self.receiver).roll_call = Some(RollCall::new(number, rooms, members));
        let over = Duration::from_secs(seconds.into());
        self.orders.send_modify(|orders| orders.call(number, over));
        let mut outcome = Outcome::new()?;
        outcome.expected = self.plan.sockets().into();
        let (mut unheard, mut moved) = (outcome.expected, Instant::now() + over);
        while unheard > 0 && moved.elapsed() < PATIENCE {
            sleep(Duration::from_millis(50)).await;
            let now = lock(&self.receiver).roll_call.as_ref().map_or(0, RollCall::unheard);
            if now < unheard {
                (unheard, moved) = (now, moved.max(Instant::now()));
            }
        }
        let mut receiver = lock(&self.receiver);
        outcome.faults = receiver.roll_call.take().map(|call| call.faults()).unwrap_or_default();
        outcome.delivered = outcome.expected - outcome.faults.lost;
        (outcome.errors, outcome.first_error) = receiver.take_errors();
        Ok(outcome)
    }

    /// How the members have come in, or come back, since this was asked last.
    pub(crate) fn take_returns(&self) -> Result<Returns> {
        Ok(std::mem::replace(&mut lock(&self.receiver).returns, Returns::new()?))
    }

    /// The number of errors since the last round, and the first of them.
    pub(crate) fn take_errors(&self) -> (u64, Option<String>) {
        lock(&self.receiver).take_errors()
    }
}

pub(super) fn lock(receiver: &Mutex<Receiver>) -> MutexGuard<'_, Receiver> {
    receiver.lock().unwrap_or_else(PoisonError::into_inner)
}
