use std::{
    future::pending,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use futures_util::FutureExt;
use tokio::{
    sync::{mpsc, watch},
    time::sleep,
};

use super::{
    Plan,
    balancer::Balancer,
    generator::lock,
    receiver::{Receiver, is_unavailable},
    roll_call,
};
use crate::client::{Client, Entry, Event, Seat};

/// The longest wait after a refused attempt to come back; it doubles with each further one, up to [`LONGEST_BACKOFF`]. As on the page of the
/// server, the wait is at random between this and nothing.
const BACKOFF: Duration = Duration::from_millis(500);

const LONGEST_BACKOFF: Duration = Duration::from_secs(15);

/// The wait before a refused message is sent again.
const AGAIN: Duration = Duration::from_secs(1);

/// Attempts in a row after which a member gives up.
const ATTEMPTS: u32 = 40;

/// Whoever plays goes on after it was away for so long that another member is the host.
const EVERYBODY_PLAYS: &str = r#"{"type":"TOGGLE_GUEST_CONTROL","enabled":true}"#;

/// The close code of a node that shuts down: come back on another node.
const RESTART: u16 = 1012;

/// A joined client: it sends what it is told, and checks what it receives.
pub(super) struct Member {
    pub(super) plan: Arc<Plan>,
    /// Its room in this generator, and its place in that room.
    pub(super) room: u32,
    pub(super) place: u32,
    /// `None` while it has no connection.
    pub(super) client: Option<Client>,
    /// The address that it sends signals to.
    pub(super) to: String,
    /// The numbers of the messages that it is told to send.
    pub(super) numbers: Option<mpsc::Receiver<u64>>,
    pub(super) receiver: Arc<Mutex<Receiver>>,
    pub(super) orders: watch::Receiver<Orders>,
    /// What it has sent and not received itself. It is sent again on the next connection.
    pub(super) unconfirmed: Vec<u64>,
    pub(super) balancer: Arc<Balancer>,
    /// The node that it is on.
    pub(super) node: usize,
}

/// What all members of a generator are told.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Orders {
    /// How often all connections were to break so far, and the time over which the members come back.
    breaks: u32,
    within: Duration,
    /// The newest roll call, and the time over which it is made.
    call: u64,
    over: Duration,
}

impl Orders {
    pub(super) fn break_off(&mut self, within: Duration) {
        (self.breaks, self.within) = (self.breaks + 1, within);
    }

    pub(super) fn call(&mut self, number: u64, over: Duration) {
        (self.call, self.over) = (number, over);
    }
}

/// How a connection ended.
enum End {
    /// There is nothing more to send.
    Over,
    /// It broke, or the server closed it with a code.
    Closed(Option<u16>),
}

impl Member {
    /// Lives until the generator ends, through as many connections as the plan allows.
    pub(super) async fn live(mut self) {
        if self.plan.patient
            && self.numbers.is_some()
            && let Some(client) = &mut self.client
        {
            // If it fails, the next read says so.
            let _ = client.send(EVERYBODY_PLAYS.to_owned()).await;
        }
        let (receiver, returns) = (Arc::clone(&self.receiver), self.plan.returns);
        loop {
            let back = match self.run().await {
                Ok(End::Over) => return,
                // On the heap, because most members wait for a frame most of the time.
                Ok(End::Closed(None | Some(RESTART))) | Err(_) if returns => Box::pin(self.come_back()).await,
                Ok(End::Closed(code)) => Err(anyhow!("the server closed the connection with code {code:?}")),
                Err(error) => Err(error),
            };
            if let Err(error) = back {
                return lock(&receiver).fail(format!("{error:#}"));
            }
        }
    }

    /// Sends and receives on one connection.
    async fn run(&mut self) -> Result<End> {
        let mut known = *self.orders.borrow_and_update();
        loop {
            let Self { client, numbers, orders, plan, .. } = self;
            let Some(client) = client else { return Ok(End::Closed(None)) };
            let may_send = !plan.patient || self.unconfirmed.is_empty();
            let number = async {
                match numbers {
                    Some(numbers) if may_send => numbers.recv().await,
                    _ => pending().await,
                }
            };
            let ordered = async {
                // A watch costs the generator something at each frame.
                if !plan.returns || orders.changed().await.is_err() {
                    pending::<()>().await;
                }
            };
            tokio::select! {
                event = client.next() => match event? {
                    Event::Text(frame) => {
                        if self.receive(&frame) {
                            // On the heap, as above.
                            Box::pin(self.send_again()).await?;
                        }
                    }
                    Event::Close(code) => return Ok(End::Closed(code)),
                },
                number = number => match number {
                    Some(number) => self.send(number).await?,
                    None => return Ok(End::Over),
                },
                () = ordered => {
                    let orders = *self.orders.borrow_and_update();
                    if orders.breaks != known.breaks {
                        return Ok(End::Closed(None));
                    }
                    if orders.call != known.call && orders.call % u64::from(self.plan.members) == u64::from(self.place) {
                        sleep(orders.over.mul_f64(rand::random())).await;
                        client.send(roll_call::frame(orders.call)).await?;
                    }
                    known = orders;
                }
            }
        }
    }

    async fn send(&mut self, number: u64) -> Result<()> {
        if self.plan.returns {
            self.unconfirmed.push(number);
        }
        let message = self.plan.message;
        let frame = message.frame(number, &self.to);
        let client = self.client.as_mut().context("no connection")?;
        if message.is_signal() { client.send_to(&self.to, frame).await } else { client.send(frame).await }
    }

    /// Records a frame. Returns whether what the member has sent was refused, and is to be sent again.
    fn receive(&mut self, frame: &str) -> bool {
        if self.plan.returns {
            if let Some(client) = &mut self.client {
                client.seat.note(frame);
            }
            if let Some(arrival) = self.plan.message.arrival(frame) {
                self.unconfirmed.retain(|number| *number != arrival.sequence);
            }
        }
        lock(&self.receiver).receive(frame, self.room, self.place);
        self.plan.patient && is_unavailable(frame)
    }

    /// Sends again what was refused, unless it arrives after all within a moment.
    async fn send_again(&mut self) -> Result<()> {
        sleep(AGAIN).await;
        while let Some(event) = self.client.as_mut().and_then(|client| client.next().now_or_never()) {
            match event? {
                Event::Text(frame) => _ = self.receive(&frame),
                // It is sent again on the next connection.
                Event::Close(_) => return Ok(()),
            }
        }
        for number in std::mem::take(&mut self.unconfirmed) {
            self.send(number).await?;
        }
        Ok(())
    }

    /// Takes its seat again, here or on another node, and goes on where it was.
    async fn come_back(&mut self) -> Result<()> {
        let lost = Instant::now();
        lock(&self.receiver).drop_member(self.room, self.place);
        // The connection goes at once: a process may not have two for each of its members.
        let seat = match self.client.take() {
            Some(mut client) => {
                client.break_off().await;
                client.seat
            }
            None => Seat::default(),
        };
        self.balancer.leave(self.node);
        let within = self.orders.borrow().within.max(Duration::from_millis(self.plan.pause_ms.into()));
        sleep(within.mul_f64(rand::random())).await;
        let mut attempt = 0;
        let entry = loop {
            let way = self.balancer.queue().await?;
            let refused = match self.balancer.pick(Instant::now(), rand::random()) {
                None => anyhow!("each node has just refused somebody"),
                Some(node) => match self.plan.enter(self.room, self.place, node, seat.clone()).await {
                    Ok((client, entry)) => {
                        (self.client, self.node) = (Some(client), node);
                        self.balancer.enter(node);
                        break entry;
                    }
                    Err(error) => {
                        self.balancer.refused(node, Instant::now());
                        error
                    }
                },
            };
            drop(way);
            if attempt == ATTEMPTS {
                return Err(refused);
            }
            attempt += 1;
            let wait = BACKOFF.saturating_mul(1 << attempt.min(6)).min(LONGEST_BACKOFF);
            sleep(wait.mul_f64(rand::random())).await;
        };
        lock(&self.receiver).returns.returned(lost, attempt, entry);
        // If the connection breaks again meanwhile, the next read says so.
        let _ = self.catch_up(entry).await;
        Ok(())
    }

    /// Reads what it has missed, and sends again what nobody has confirmed.
    async fn catch_up(&mut self, entry: Entry) -> Result<()> {
        let Entry::Resumed { replayed } = entry else {
            // What happened meanwhile cannot be known.
            self.unconfirmed.clear();
            return Ok(());
        };
        for _ in 0..replayed {
            let frame = self.client.as_mut().context("no connection")?.receive().await?;
            self.receive(&frame);
        }
        let mut again = std::mem::take(&mut self.unconfirmed).into_iter();
        while let Some(number) = again.next() {
            if let Err(error) = self.send(number).await {
                self.unconfirmed.extend(again);
                return Err(error);
            }
        }
        Ok(())
    }
}
