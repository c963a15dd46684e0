use std::{
    future::pending,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow};
use tokio::{
    sync::{mpsc, watch},
    time::sleep,
};

use super::{Plan, generator::lock, receiver::Receiver};
use crate::client::{Client, Entry, Event};

/// The wait after a refused attempt to come back; it doubles with each further one.
const BACKOFF: Duration = Duration::from_millis(100);

const LONGEST_BACKOFF: Duration = Duration::from_secs(5);

/// Attempts in a row after which a member gives up.
const ATTEMPTS: u32 = 12;

/// The close code of a node that shuts down: come back on another node.
const RESTART: u16 = 1012;

/// A joined client: it sends what it is told, and checks what it receives.
pub(super) struct Member {
    pub(super) plan: Arc<Plan>,
    /// Its room in this generator, and its place in that room.
    pub(super) room: u32,
    pub(super) place: u32,
    pub(super) client: Client,
    /// The address that it sends signals to.
    pub(super) to: String,
    /// The numbers of the messages that it is told to send.
    pub(super) numbers: Option<mpsc::Receiver<u64>>,
    pub(super) receiver: Arc<Mutex<Receiver>>,
    /// Changes when all connections are to break: the time over which the members come back.
    pub(super) breaks: watch::Receiver<Duration>,
    /// What it has sent and not received itself. It is sent again on the next connection.
    pub(super) unconfirmed: Vec<u64>,
    /// How many nodes it has moved on.
    pub(super) moved: u32,
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
        let (receiver, returns) = (Arc::clone(&self.receiver), self.plan.returns);
        loop {
            let back = match self.run().await {
                Ok(End::Over) => return,
                Ok(End::Closed(Some(RESTART))) if returns => self.come_back(true).await,
                Ok(End::Closed(None)) | Err(_) if returns => self.come_back(false).await,
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
        loop {
            let Self { client, numbers, breaks, plan, .. } = self;
            let number = async {
                match numbers {
                    Some(numbers) => numbers.recv().await,
                    None => pending().await,
                }
            };
            let broken = async {
                // A watch costs the generator something at each frame.
                if !plan.returns || breaks.changed().await.is_err() {
                    pending::<()>().await;
                }
            };
            tokio::select! {
                event = client.next() => match event? {
                    Event::Text(frame) => self.receive(&frame),
                    Event::Close(code) => return Ok(End::Closed(code)),
                },
                number = number => match number {
                    Some(number) => self.send(number).await?,
                    None => return Ok(End::Over),
                },
                () = broken => return Ok(End::Closed(None)),
            }
        }
    }

    async fn send(&mut self, number: u64) -> Result<()> {
        if self.plan.returns {
            self.unconfirmed.push(number);
        }
        let message = self.plan.message;
        let frame = message.frame(number, &self.to);
        if message.is_signal() { self.client.send_to(&self.to, frame).await } else { self.client.send(frame).await }
    }

    fn receive(&mut self, frame: &str) {
        if self.plan.returns {
            self.client.seat.note(frame);
            if let Some(arrival) = self.plan.message.arrival(frame) {
                self.unconfirmed.retain(|number| *number != arrival.sequence);
            }
        }
        lock(&self.receiver).receive(frame, self.room, self.place);
    }

    /// Takes its seat again, here or on another node, and goes on where it was.
    async fn come_back(&mut self, elsewhere: bool) -> Result<()> {
        let lost = Instant::now();
        lock(&self.receiver).returns.dropped += 1;
        self.client.break_off().await;
        self.moved += u32::from(elsewhere);
        let within = *self.breaks.borrow_and_update();
        sleep(within.mul_f64(rand::random())).await;
        let mut attempt = 0;
        let entry = loop {
            let seat = self.client.seat.clone();
            match self.plan.enter(self.room, self.place, self.moved, seat).await {
                Ok((client, entry)) => {
                    self.client = client;
                    break entry;
                }
                Err(error) if attempt == ATTEMPTS => return Err(error),
                Err(_) => {
                    attempt += 1;
                    self.moved += 1;
                    let wait = BACKOFF.saturating_mul(1 << attempt).min(LONGEST_BACKOFF);
                    sleep(wait.mul_f64(0.5 + 0.5 * rand::random::<f64>())).await;
                }
            }
        };
        lock(&self.receiver).returns.returned(lost, attempt, entry);
        match entry {
            Entry::Resumed { replayed } => {
                for _ in 0..replayed {
                    let frame = self.client.receive().await?;
                    self.receive(&frame);
                }
                for number in std::mem::take(&mut self.unconfirmed) {
                    self.send(number).await?;
                }
            }
            // What happened meanwhile cannot be known.
            Entry::Joined => self.unconfirmed.clear(),
        }
        Ok(())
    }
}
