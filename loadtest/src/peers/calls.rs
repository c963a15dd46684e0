use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::{
    sync::mpsc::{Receiver, Sender, channel, error::TrySendError},
    task::JoinSet,
    time::sleep,
};

use super::{
    cost::{Cost, Till},
    figures::Figures,
    line::{Line, Notes},
};
use crate::{
    client::{Client, Peer, Seat},
    crowd::signal,
    latency::Latency,
    meter::Meter,
    scan,
    target::Target,
    units::micros,
};

/// How a call goes: who of the two says what.
const CALL: [(usize, &str); 12] = [
    (0, "OFFER"),
    (1, "ANSWER"),
    (0, "ICE_CANDIDATE"),
    (1, "ICE_CANDIDATE"),
    (0, "ICE_CANDIDATE"),
    (1, "ICE_CANDIDATE"),
    (0, "ICE_CANDIDATE"),
    (1, "ICE_CANDIDATE"),
    (0, "ICE_CANDIDATE"),
    (1, "ICE_CANDIDATE"),
    (0, "ICE_CANDIDATE"),
    (1, "ICE_CANDIDATE"),
];

/// Pairs that come in at the same time.
const AT_ONCE: usize = 16;

/// How far ahead a round is planned.
const LEAD: Duration = Duration::from_millis(50);

/// How long the last signals of a round may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a server may work on after the last one and still be charged for it.
const AFTERMATH: Duration = Duration::from_millis(250);

/// Signals that may wait for their sender; more were never sent.
const QUEUE: usize = 256;

/// What a member is to send.
#[derive(Debug, Clone, Copy)]
struct Order {
    kind: &'static str,
    number: u64,
    /// Microseconds after the beginning.
    due: u64,
}

/// Pairs whose members sit on two nodes and signal each other.
#[derive(Debug)]
pub(super) struct Calls {
    name: &'static str,
    meters: Vec<Meter>,
    notes: Arc<Mutex<Notes>>,
    /// By member, two a pair.
    orders: Vec<Sender<Order>>,
    /// The members; they go with this value.
    _tasks: JoinSet<()>,
    /// How many each pair has sent.
    sent: u64,
    expected: u64,
    lag: Latency,
    costs: Vec<Cost>,
}

impl Calls {
    /// Brings the pairs in.
    pub(super) async fn gather(
        name: &'static str,
        peer: Peer,
        targets: &[Target],
        meters: Vec<Meter>,
        pairs: u32,
    ) -> Result<Self> {
        let [one, two, ..] = targets else { anyhow::bail!("{name} has no two nodes") };
        let clients: Vec<Vec<(Client, String)>> = stream::iter(0..pairs)
            .map(|pair| async move {
                let room = format!("calls-{}-{pair}", std::process::id());
                let mut both = Vec::new();
                for (member, target) in [one, two].into_iter().enumerate() {
                    let user = format!("caller-{pair}-{member}");
                    let seat = Seat { room: &room, user: &user, features: Some(&[]), source: None };
                    let mut client = Client::join(target, peer, &seat).await?;
                    let address = client.address().await?;
                    both.push((client, address));
                }
                anyhow::Ok(both)
            })
            .buffered(AT_ONCE)
            .try_collect()
            .await
            .with_context(|| format!("cannot bring {pairs} pairs into {name}"))?;
        let lines = (0..2 * pairs).map(|_| Line::default()).collect();
        let (origin, latency) = (Instant::now(), Latency::new()?);
        let notes = Notes { origin, lines, arrived: 0, latency, failed: 0, first_failure: None };
        let notes = Arc::new(Mutex::new(notes));
        let (mut orders, mut tasks) = (Vec::new(), JoinSet::new());
        for mut pair in clients {
            let addresses: Vec<String> = pair.iter().rev().map(|(_, address)| address.clone()).collect();
            for ((client, _), to) in pair.drain(..).zip(addresses) {
                let (sender, receiver) = channel(QUEUE);
                let member = orders.len();
                orders.push(sender);
                tasks.spawn(take_part(client, to, receiver, Arc::clone(&notes), member));
            }
        }
        let lag = Latency::new()?;
        Ok(Self { name, meters, notes, orders, _tasks: tasks, sent: 0, expected: 0, lag, costs: Vec::new() })
    }

    /// A second that is checked but not measured.
    pub(super) async fn warm_up(&mut self, rate: u32) -> Result<()> {
        self.round(rate, 1).await?;
        self.costs.clear();
        self.lag = Latency::new()?;
        lock(&self.notes).latency = Latency::new()?;
        Ok(())
    }

    /// `seconds` of about `rate` signals a second by all pairs together, each when it is due, whatever became of those before.
    pub(super) async fn round(&mut self, rate: u32, seconds: u32) -> Result<()> {
        let pairs = u64::try_from(self.orders.len() / 2)?;
        let each = (u64::from(rate) * u64::from(seconds)).div_ceil(pairs);
        let (origin, before) = {
            let notes = lock(&self.notes);
            (notes.origin, notes.arrived)
        };
        let till = Till::open(&self.meters)?;
        let plan = Plan {
            origin,
            start: Instant::now() + LEAD,
            apart: Duration::from_secs(seconds.into()).div_f64(crate::units::float(each * pairs)),
            numbers: self.sent..self.sent + each,
            orders: self.orders.clone(),
        };
        let (lag, unsent) = tokio::task::spawn_blocking(move || plan.hand_out()).await??;
        self.lag.add(&lag)?;
        self.sent += each;
        self.expected += each * pairs;
        let deadline = Instant::now() + PATIENCE;
        while lock(&self.notes).arrived < self.expected && Instant::now() < deadline {
            sleep(Duration::from_millis(10)).await;
        }
        sleep(AFTERMATH).await;
        let arrived = {
            let mut notes = lock(&self.notes);
            for _ in 0..unsent {
                notes.fail("a signal was due and its sender was still busy".to_owned());
            }
            notes.arrived - before
        };
        self.costs.push(till.close(arrived)?);
        Ok(())
    }

    /// The figures of all rounds.
    pub(super) fn figures(&self) -> Figures {
        let notes = lock(&self.notes);
        let doubled = notes.lines.iter().map(|line| line.counts().1).sum();
        let came: u64 = notes.lines.iter().map(|line| line.counts().0).sum();
        Figures {
            name: self.name,
            done: came,
            lost: self.expected.saturating_sub(came),
            doubled,
            failed: notes.failed,
            first_failure: notes.first_failure.clone(),
            per_second: None,
            latency: notes.latency.summary(),
            generator_lag: Some(self.lag.summary()),
            costs: self.costs.clone(),
        }
    }
}

/// A round, on a thread of its own: the runtime's timers are good to a millisecond only.
struct Plan {
    origin: Instant,
    start: Instant,
    apart: Duration,
    /// Of each pair.
    numbers: std::ops::Range<u64>,
    orders: Vec<Sender<Order>>,
}

impl Plan {
    /// Hands out orders when they are due: how late that was, and how many could not be handed out.
    fn hand_out(self) -> Result<(Latency, u64)> {
        let (mut lag, mut unsent, mut due) = (Latency::new()?, 0, self.start);
        for number in self.numbers {
            let turn = usize::try_from(number)? % CALL.len();
            let (who, kind) = CALL.get(turn).copied().context("a call is as long as it is")?;
            for pair in self.orders.chunks(2) {
                thread::sleep(due.saturating_duration_since(Instant::now()));
                lag.record(due, Instant::now());
                let order = Order { kind, number, due: micros(due.saturating_duration_since(self.origin)) };
                match pair.get(who).map(|sender| sender.try_send(order)) {
                    Some(Ok(())) => {}
                    // All sockets are gone: nobody wants this any more.
                    Some(Err(TrySendError::Closed(_))) if self.orders.iter().all(Sender::is_closed) => {
                        return Ok((lag, unsent));
                    }
                    Some(Err(_)) | None => unsent += 1,
                }
                due += self.apart;
            }
        }
        Ok((lag, unsent))
    }
}

/// One member: sends what it is told to the other one, writes down what it gets.
async fn take_part(
    mut client: Client,
    to: String,
    mut orders: Receiver<Order>,
    notes: Arc<Mutex<Notes>>,
    member: usize,
) {
    let outcome: Result<()> = async {
        loop {
            tokio::select! {
                frame = client.receive() => {
                    let frame = frame?;
                    if let (Some(number), Some(due)) = (scan::number(&frame, "\"n\":"), scan::number(&frame, "\"t0\":")) {
                        lock(&notes).take(member, number, due);
                    } else if scan::is_type(&frame, "ERROR") {
                        lock(&notes).fail(frame.to_string());
                    }
                }
                order = orders.recv() => match order {
                    Some(Order { kind, number, due }) => {
                        client.send_to(&to, signal(kind, &to, number, due)).await?;
                    }
                    None => return Ok(()),
                },
            }
        }
    }
    .await;
    if let Err(error) = outcome {
        lock(&notes).fail(format!("{error:#}"));
    }
}

fn lock(notes: &Mutex<Notes>) -> MutexGuard<'_, Notes> {
    notes.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_gives_each_pair_each_number_once_and_in_turn() {
        let (senders, mut receivers): (Vec<_>, Vec<_>) = (0..4).map(|_| channel(64)).unzip();
        let now = Instant::now();
        let plan = Plan { origin: now, start: now, apart: Duration::ZERO, numbers: 12..24, orders: senders };
        let (_, unsent) = plan.hand_out().unwrap();
        assert_eq!(unsent, 0);
        for pair in receivers.chunks_mut(2) {
            let mut drain = |who: usize| -> Vec<_> {
                std::iter::from_fn(|| pair[who].try_recv().ok()).map(|order| (order.kind, order.number)).collect()
            };
            let (first, second) = (drain(0), drain(1));
            assert_eq!((first[0], second[0]), (("OFFER", 12), ("ANSWER", 13)));
            assert_eq!(first.len() + second.len(), 12);
        }
    }

    #[test]
    fn what_a_sender_has_no_room_for_is_unsent() {
        let (senders, _receivers): (Vec<_>, Vec<_>) = (0..2).map(|_| channel(1)).unzip();
        let now = Instant::now();
        let plan = Plan { origin: now, start: now, apart: Duration::ZERO, numbers: 0..4, orders: senders };
        assert_eq!(plan.hand_out().unwrap().1, 2);
    }
}
