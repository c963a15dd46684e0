use std::{
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use dashmap::DashSet;
use futures_util::FutureExt as _;
use redis::{Cmd, FromRedisValue, RedisError, ScriptInvocation, Value};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, timeout},
};

use super::{
    answer::{read, translate},
    connector::Wire,
};
use crate::{
    backend::{BackendError, Faults},
    id::RoomId,
    telemetry::Cause,
};

/// How often it is looked whether a link is above suspicion again.
const SUSPENSE: Duration = Duration::from_millis(20);

/// A connection that is made anew whenever it ends, or stops telling the truth.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) number: usize,
    wire: RwLock<Option<Wire>>,
    /// Which connection this is: what an earlier one still says about its end is of no interest.
    generation: AtomicU64,
    up: watch::Sender<bool>,
    /// A command was not answered in time: until the next probe nobody else waits for that.
    suspect: AtomicBool,
    /// Redis is there, but refuses what nodes need.
    refused: AtomicBool,
    /// Probe now.
    doubt: Notify,
    /// Connect anew.
    broken: Notify,
    /// The rooms whose channels are heard here.
    pub(super) rooms: DashSet<RoomId>,
    echoes: Echoes,
    nonce: AtomicU64,
    faults: Arc<Faults>,
}

/// What has come back of the probes, by channel.
#[derive(Debug, Default)]
struct Echoes {
    heard: Mutex<Vec<(String, u64)>>,
    news: Notify,
}

impl Link {
    pub(super) fn new(number: usize, faults: Arc<Faults>) -> Self {
        Self {
            number,
            wire: RwLock::default(),
            generation: AtomicU64::new(0),
            up: watch::Sender::new(false),
            suspect: AtomicBool::new(false),
            refused: AtomicBool::new(false),
            doubt: Notify::new(),
            broken: Notify::new(),
            rooms: DashSet::new(),
            echoes: Echoes::default(),
            nonce: AtomicU64::new(0),
            faults,
        }
    }

    /// The number of the connection that is about to be made.
    pub(super) fn next_generation(&self) -> u64 {
        let generation = self.generation.fetch_add(1, Ordering::AcqRel) + 1;
        // What was said of the one before.
        let _ = self.broken.notified().now_or_never();
        let _ = self.doubt.notified().now_or_never();
        self.echoes.heard.lock().unwrap_or_else(PoisonError::into_inner).clear();
        generation
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    pub(super) fn is_current(&self, generation: u64) -> bool {
        self.generation() == generation
    }

    /// Commands go through `wire` from now on, or fail at once.
    pub(super) fn set(&self, wire: Option<Wire>) {
        self.suspect.store(false, Ordering::Release);
        *self.wire.write().unwrap_or_else(PoisonError::into_inner) = wire;
    }

    /// All rooms are heard again, or no longer.
    pub(super) fn set_up(&self, up: bool) {
        self.up.send_if_modified(|was| std::mem::replace(was, up) != up);
    }

    /// Waits until all rooms are heard.
    pub(super) async fn until_up(&self) {
        loop {
            // The sender lives as long as this.
            let _ = self.up.subscribe().wait_for(|up| *up).await;
            if !self.suspect.load(Ordering::Acquire) {
                return;
            }
            sleep(SUSPENSE).await;
        }
    }

    pub(super) fn is_up(&self) -> bool {
        *self.up.borrow() && !self.suspect.load(Ordering::Acquire)
    }

    /// Which connection is up, if one is.
    pub(super) fn standing(&self) -> Option<u64> {
        self.is_up().then(|| self.generation())
    }

    /// The connection, and which one it is.
    fn wire(&self) -> Result<(Wire, u64), BackendError> {
        let generation = self.generation();
        let wire = self.wire.read().unwrap_or_else(PoisonError::into_inner).clone();
        let why = match wire {
            Some(wire) if !self.suspect.load(Ordering::Acquire) => return Ok((wire, generation)),
            Some(_) => BackendError::Timeout,
            None => BackendError::Unreachable("there is no connection".to_owned()),
        };
        // Whoever keeps the link says why.
        self.faults.count(&why);
        Err(why)
    }

    /// A command, within the deadline of the connection.
    pub(super) async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, BackendError> {
        let (mut wire, generation) = self.wire()?;
        let said: Value = command.query_async(&mut wire).await.map_err(|error| self.failed(&error, generation))?;
        read(said).inspect_err(|error| self.faults.note(error))
    }

    /// A script, within the deadline of the connection.
    pub(super) async fn invoke<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T, BackendError> {
        let (mut wire, generation) = self.wire()?;
        let said: Value = script.invoke_async(&mut wire).await.map_err(|error| self.failed(&error, generation))?;
        read(said).inspect_err(|error| self.faults.note(error))
    }

    pub(super) async fn listen(&self, channels: &[String]) -> Result<(), BackendError> {
        let (mut wire, generation) = self.wire()?;
        wire.listen(channels).await.map_err(|error| self.failed(&error, generation))
    }

    pub(super) async fn ignore(&self, channel: &str) -> Result<(), BackendError> {
        let (mut wire, generation) = self.wire()?;
        wire.ignore(channel).await.map_err(|error| self.failed(&error, generation))
    }

    fn failed(&self, error: &RedisError, generation: u64) -> BackendError {
        let fault = translate(error);
        if !self.is_current(generation) {
            // Of a connection that is given up already.
        } else if error.is_timeout() {
            self.suspect.store(true, Ordering::Release);
            self.doubt.notify_one();
        } else if matches!(fault, BackendError::Refused { .. }) {
            // If all is refused, that is to be known soon; and a master that became a replica is not the one to talk to.
            if !self.is_refused() {
                self.doubt.notify_one();
            }
        } else if error.is_io_error() || error.is_unrecoverable_error() {
            self.broken.notify_one();
        }
        match fault {
            // Whoever keeps the link says that it has ended, and why there is no other.
            BackendError::Unreachable(_) => self.faults.count(&fault),
            _ => self.faults.note(&fault),
        }
        fault
    }

    /// The connection has ended, or lies.
    pub(super) fn breaks(&self) {
        self.broken.notify_one();
    }

    /// Waits until it has to be made anew.
    pub(super) async fn broken(&self) {
        self.broken.notified().await;
    }

    /// Waits until a probe is wanted before its time.
    pub(super) async fn doubted(&self) {
        self.doubt.notified().await;
    }

    /// What a probe said has come back.
    pub(super) fn probe_returned(&self, channel: &str, nonce: u64) {
        let mut heard = self.echoes.heard.lock().unwrap_or_else(PoisonError::into_inner);
        match heard.iter_mut().find(|(name, _)| name == channel) {
            Some((_, last)) => *last = (*last).max(nonce),
            None => heard.push((channel.to_owned(), nonce)),
        }
        drop(heard);
        self.echoes.news.notify_one();
    }

    /// Says something on each of its own channels and waits until it has come back; meanwhile does there what nodes do.
    pub(super) async fn probe(&self, probes: &[Probe], within: Duration) -> Result<Probed, BackendError> {
        // Around the suspicion: this is what ends it.
        let wire = self.wire.read().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(wire) = wire else { return Err(BackendError::Unreachable("there is no connection".to_owned())) };
        let begun = Instant::now();
        let nonce = self.nonce.fetch_add(1, Ordering::Relaxed) + 1;
        let mut refused = None;
        for probe in probes {
            let [mut first, mut second, mut third] = [wire.clone(), wire.clone(), wire.clone()];
            let channel = std::slice::from_ref(&probe.channel);
            let mut publish = redis::cmd("SPUBLISH");
            publish.arg(&probe.channel).arg(nonce);
            let (heard, said, done) = tokio::join!(
                // Once more: it changes nothing, but that it may be done.
                first.listen(channel),
                publish.query_async::<i64>(&mut second),
                probe.call.invoke_async::<i64>(&mut third),
            );
            for failed in [heard.err(), said.err(), done.err()].into_iter().flatten() {
                match translate(&failed) {
                    error if is_borne(&error) => refused = Some(error),
                    error => return Err(error),
                }
            }
        }
        if refused.is_none() {
            let all_back = async {
                while !self.is_back(probes, nonce) {
                    self.echoes.news.notified().await;
                }
            };
            let deaf = |_| BackendError::Unreachable("commands are answered, but nothing is heard".to_owned());
            timeout(within, all_back).await.map_err(deaf)?;
        }
        self.suspect.store(false, Ordering::Release);
        self.refused.store(refused.is_some(), Ordering::Release);
        Ok(Probed { took: begun.elapsed(), refused })
    }

    /// Whether Redis refuses what nodes ask of it, though it can be reached.
    pub(super) fn is_refused(&self) -> bool {
        self.refused.load(Ordering::Acquire)
    }

    fn is_back(&self, probes: &[Probe], nonce: u64) -> bool {
        let heard = self.echoes.heard.lock().unwrap_or_else(PoisonError::into_inner);
        probes.iter().all(|probe| heard.iter().any(|(name, last)| *name == probe.channel && *last >= nonce))
    }
}

/// How it is found out what a connection is worth, in one partition.
#[derive(Debug)]
pub(super) struct Probe {
    pub(super) channel: String,
    /// `probe.lua` on keys of its own.
    pub(super) call: ScriptInvocation<'static>,
}

/// What was found out.
#[derive(Debug)]
pub(super) struct Probed {
    pub(super) took: Duration,
    /// It is there, but does not do what nodes need.
    pub(super) refused: Option<BackendError>,
}

/// Whether another connection would be no better. One to a master that has become a replica, or is just being filled, is not worth keeping.
fn is_borne(error: &BackendError) -> bool {
    matches!(error, BackendError::Refused { .. })
        && !matches!(
            error.cause(),
            Cause::Loading | Cause::MasterDown | Cause::NoAuth | Cause::ReadOnly | Cause::WrongPass
        )
}
