use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use dashmap::DashSet;
use futures_util::FutureExt as _;
use redis::{Cmd, ErrorKind, FromRedisValue, RedisError, Script, ScriptInvocation, ServerErrorKind, Value};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, timeout},
};

use super::{
    answer::{read, translate},
    connection::RedisConnection,
    probe::{Probe, ProbeReplies, ProbeResult, is_tolerated},
};
use crate::{
    backend::{BackendError, Faults},
    id::RoomId,
};

/// Poll interval of whether a link is no longer suspect.
const SUSPECT_POLL: Duration = Duration::from_millis(20);

/// A connection that is replaced whenever it ends or fails a probe.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) number: usize,
    connection: RwLock<Option<RedisConnection>>,
    /// The number of the connection, to ignore events of an earlier one.
    generation: AtomicU64,
    up: watch::Sender<bool>,
    /// Whether a command timed out: until the next probe, commands fail at once.
    suspect: AtomicBool,
    /// Whether Redis can be reached but refuses commands.
    refused: AtomicBool,
    /// The server of each partition that was asked for it: another one may have lost changes.
    servers: Mutex<HashMap<u16, String>>,
    /// Whether nodes still compare their rooms with a new server: until then nothing is decided.
    comparing: AtomicBool,
    /// Requests a probe at once.
    probe_now: Notify,
    /// Requests a new connection.
    reconnect: Notify,
    /// The rooms that are subscribed to on this link.
    pub(super) rooms: DashSet<RoomId>,
    replies: ProbeReplies,
    nonce: AtomicU64,
    faults: Arc<Faults>,
}

impl Link {
    pub(super) fn new(number: usize, faults: Arc<Faults>) -> Self {
        Self {
            number,
            connection: RwLock::default(),
            generation: AtomicU64::new(0),
            up: watch::Sender::new(false),
            suspect: AtomicBool::new(false),
            refused: AtomicBool::new(false),
            servers: Mutex::default(),
            comparing: AtomicBool::new(false),
            probe_now: Notify::new(),
            reconnect: Notify::new(),
            rooms: DashSet::new(),
            replies: ProbeReplies::default(),
            nonce: AtomicU64::new(0),
            faults,
        }
    }

    /// Starts the next connection, and returns its number.
    pub(super) fn next_generation(&self) -> u64 {
        let generation = self.generation.fetch_add(1, Ordering::AcqRel) + 1;
        // Requests about the previous connection no longer count.
        let _ = self.reconnect.notified().now_or_never();
        let _ = self.probe_now.notified().now_or_never();
        self.replies.clear();
        generation
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    pub(super) fn is_current(&self, generation: u64) -> bool {
        self.generation() == generation
    }

    /// Sets the connection for commands; without one they fail at once.
    pub(super) fn set(&self, connection: Option<RedisConnection>) {
        self.suspect.store(false, Ordering::Release);
        *self.connection.write().unwrap_or_else(PoisonError::into_inner) = connection;
    }

    /// The server that this partition was on when it was last asked for.
    pub(super) fn server(&self, partition: u16) -> Option<String> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner).get(&partition).cloned()
    }

    pub(super) fn set_server(&self, partition: u16, server: String) {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner).insert(partition, server);
    }

    pub(super) fn set_comparing(&self, comparing: bool) {
        self.comparing.store(comparing, Ordering::Release);
    }

    /// Fails while nodes compare their rooms with a new server.
    pub(super) fn decides(&self) -> Result<(), BackendError> {
        if !self.comparing.load(Ordering::Acquire) {
            return Ok(());
        }
        let why = BackendError::Unreachable("nodes are comparing their rooms with a new server".to_owned());
        self.faults.count(&why);
        Err(why)
    }

    /// Sets whether all rooms are subscribed to.
    pub(super) fn set_up(&self, up: bool) {
        self.up.send_if_modified(|was| std::mem::replace(was, up) != up);
    }

    /// Waits until all rooms are subscribed to.
    pub(super) async fn until_up(&self) {
        loop {
            // The sender lives as long as `self`.
            let _ = self.up.subscribe().wait_for(|up| *up).await;
            if !self.suspect.load(Ordering::Acquire) {
                return;
            }
            sleep(SUSPECT_POLL).await;
        }
    }

    pub(super) fn is_up(&self) -> bool {
        *self.up.borrow() && !self.suspect.load(Ordering::Acquire)
    }

    /// The number of the connection, if it is up.
    pub(super) fn up_generation(&self) -> Option<u64> {
        self.is_up().then(|| self.generation())
    }

    /// The connection and its number.
    fn connection(&self) -> Result<(RedisConnection, u64), BackendError> {
        let generation = self.generation();
        let connection = self.connection.read().unwrap_or_else(PoisonError::into_inner).clone();
        let why = match connection {
            Some(connection) if !self.suspect.load(Ordering::Acquire) => return Ok((connection, generation)),
            Some(_) => BackendError::Timeout,
            None => BackendError::Unreachable("there is no connection".to_owned()),
        };
        // The task that maintains the link logs the reason.
        self.faults.count(&why);
        Err(why)
    }

    /// Runs a command, within the deadline of the connection.
    pub(super) async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, BackendError> {
        let (mut connection, generation) = self.connection()?;
        let answer: Value =
            command.query_async(&mut connection).await.map_err(|error| self.failed(&error, generation))?;
        read(answer).inspect_err(|error| self.faults.note(error))
    }

    /// Runs a script, within the deadline of the connection.
    pub(super) async fn invoke<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T, BackendError> {
        let (mut connection, generation) = self.connection()?;
        let answer: Value =
            script.invoke_async(&mut connection).await.map_err(|error| self.failed(&error, generation))?;
        read(answer).inspect_err(|error| self.faults.note(error))
    }

    /// Runs an EVALSHA of this script, within the deadline of the connection.
    pub(super) async fn call<T: FromRedisValue>(&self, call: &Cmd, script: &Script) -> Result<T, BackendError> {
        let (mut connection, generation) = self.connection()?;
        let mut answer: Result<Value, RedisError> = call.query_async(&mut connection).await;
        if answer.as_ref().is_err_and(|error| error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)) {
            // Redis was started since, or its scripts were flushed.
            answer = match script.load_async(&mut connection).await {
                Ok(_) => call.query_async(&mut connection).await,
                Err(error) => Err(error),
            };
        }
        read(answer.map_err(|error| self.failed(&error, generation))?).inspect_err(|error| self.faults.note(error))
    }

    pub(super) async fn subscribe(&self, channels: &[String]) -> Result<(), BackendError> {
        let (mut connection, generation) = self.connection()?;
        connection.subscribe(channels).await.map_err(|error| self.failed(&error, generation))
    }

    pub(super) async fn unsubscribe(&self, channel: &str) -> Result<(), BackendError> {
        let (mut connection, generation) = self.connection()?;
        connection.unsubscribe(channel).await.map_err(|error| self.failed(&error, generation))
    }

    fn failed(&self, error: &RedisError, generation: u64) -> BackendError {
        let fault = translate(error);
        if !self.is_current(generation) {
            // The error is about a connection that was replaced already.
        } else if error.is_timeout() {
            self.suspect.store(true, Ordering::Release);
            self.probe_now.notify_one();
        } else if matches!(fault, BackendError::Refused { .. }) {
            // A probe finds out whether everything is refused, and whether the master has become a replica.
            if !self.is_refused() {
                self.probe_now.notify_one();
            }
        } else if error.is_io_error() || error.is_unrecoverable_error() {
            self.reconnect.notify_one();
        }
        match fault {
            // The task that maintains the link logs why there is no connection.
            BackendError::Unreachable(_) => self.faults.count(&fault),
            _ => self.faults.note(&fault),
        }
        fault
    }

    /// Requests a new connection.
    pub(super) fn request_reconnect(&self) {
        self.reconnect.notify_one();
    }

    /// Waits until a new connection is requested.
    pub(super) async fn reconnect_requested(&self) {
        self.reconnect.notified().await;
    }

    /// Waits until a probe is requested.
    pub(super) async fn probe_requested(&self) {
        self.probe_now.notified().await;
    }

    /// Records a nonce that came back.
    pub(super) fn probe_returned(&self, channel: &str, nonce: u64) {
        self.replies.returned(channel, nonce);
    }

    /// Publishes a nonce on each probe channel and waits until it comes back. Meanwhile it tries the commands of nodes.
    pub(super) async fn probe(&self, probes: &[Probe], within: Duration) -> Result<ProbeResult, BackendError> {
        // Not through `connection()`, because a probe must run while the link is suspect.
        let connection = self.connection.read().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(connection) = connection else {
            return Err(BackendError::Unreachable("there is no connection".to_owned()));
        };
        let begun = Instant::now();
        let nonce = self.nonce.fetch_add(1, Ordering::Relaxed) + 1;
        let mut refused = None;
        for probe in probes {
            let [mut first, mut second, mut third] = [connection.clone(), connection.clone(), connection.clone()];
            let channel = std::slice::from_ref(&probe.channel);
            let mut publish = redis::cmd("SPUBLISH");
            publish.arg(&probe.channel).arg(nonce);
            let (subscribed, published, invoked) = tokio::join!(
                // Subscribing again changes nothing, but shows whether it is allowed.
                first.subscribe(channel),
                publish.query_async::<i64>(&mut second),
                probe.call.invoke_async::<i64>(&mut third),
            );
            for failed in [subscribed.err(), published.err(), invoked.err()].into_iter().flatten() {
                match translate(&failed) {
                    error if is_tolerated(&error) => refused = Some(error),
                    error => return Err(error),
                }
            }
        }
        if refused.is_none() {
            let no_reply =
                |_| BackendError::Unreachable("commands are answered, but the probe did not come back".to_owned());
            timeout(within, self.replies.all_back(probes, nonce)).await.map_err(no_reply)?;
        }
        self.suspect.store(false, Ordering::Release);
        self.refused.store(refused.is_some(), Ordering::Release);
        Ok(ProbeResult { took: begun.elapsed(), refused })
    }

    /// Whether Redis can be reached but refuses commands.
    pub(super) fn is_refused(&self) -> bool {
        self.refused.load(Ordering::Acquire)
    }
}
