//! Asks another node whether one of its sockets still answers.

use std::{sync::Arc, time::Duration};

use dashmap::DashMap;
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{Semaphore, oneshot},
    time::{Instant, timeout},
};

use super::{answer::corrupt, node::RedisNode};
use crate::{
    backend::{BackendError, answered},
    clock::millis,
    id::{ConnId, NodeId, RoomId, UserId},
    limit::Throttle,
};

/// Begins a [`SeatMessage`] on the channel of a node, after the version. A signal has an array there.
pub(super) const SEAT_MESSAGE: &[u8] = b"?";
/// Deadline for the answer of the other node, which waits three seconds for its socket.
const PATIENCE: Duration = Duration::from_secs(4);
/// Maximum number of sockets that other nodes wait for.
const MAX_ANSWERING: usize = 1_024;

/// The messages between nodes about a socket.
#[derive(Debug, Serialize, Deserialize)]
enum SeatMessage {
    /// Asks whether the socket still answers; the answer goes to `from`.
    Ask { nonce: u64, from: NodeId, room: RoomId, user: UserId, conn: ConnId },
    /// Says whether the socket answers.
    Answer { nonce: u64, answers: bool },
}

/// The checks that this node waits for, and those that it answers.
#[derive(Debug)]
pub(super) struct SeatChecks {
    asked: DashMap<u64, oneshot::Sender<bool>>,
    answering: Arc<Semaphore>,
    /// For the log lines about those that are skipped.
    skipped: Throttle,
    began: Instant,
}

impl Default for SeatChecks {
    fn default() -> Self {
        Self {
            asked: DashMap::new(),
            answering: Arc::new(Semaphore::new(MAX_ANSWERING)),
            skipped: Throttle::new(1, 1),
            began: Instant::now(),
        }
    }
}

/// A check that this node waits for; dropping it ends the wait.
struct PendingCheck<'a>(&'a SeatChecks, u64);

impl Drop for PendingCheck<'_> {
    fn drop(&mut self) {
        self.0.asked.remove(&self.1);
    }
}

impl RedisNode {
    pub(super) async fn ask_node(
        &self,
        node: &NodeId,
        room: &RoomId,
        user: &UserId,
        conn: ConnId,
    ) -> Result<Option<bool>, BackendError> {
        let (told, answer) = oneshot::channel();
        let nonce = rand::random();
        self.seat_checks.asked.insert(nonce, told);
        let _pending = PendingCheck(&self.seat_checks, nonce);
        let (from, room, user) = (self.name.clone(), room.clone(), user.clone());
        if self.publish_to_node(node, &SeatMessage::Ask { nonce, from, room, user, conn }).await? == 0 {
            return Ok(None);
        }
        Ok(timeout(PATIENCE, answer).await.ok().and_then(Result::ok))
    }

    /// Publishes a message, and returns the number of receivers.
    async fn publish_to_node(&self, node: &NodeId, message: &SeatMessage) -> Result<i64, BackendError> {
        let mut text = self.codec.begin();
        text.extend(SEAT_MESSAGE);
        serde_json::to_writer(&mut text, message).map_err(|error| BackendError::Unencodable(error.to_string()))?;
        self.main().ask(redis::cmd("SPUBLISH").arg(self.layout.node(node)).arg(text)).await
    }

    /// Runs on the task of the connection, so it must not wait.
    pub(super) fn on_seat_message(self: &Arc<Self>, text: &[u8]) {
        match serde_json::from_slice(text) {
            Ok(SeatMessage::Answer { nonce, answers }) => {
                if let Some((_, asker)) = self.seat_checks.asked.remove(&nonce) {
                    // The task that asked may have given up just now.
                    let _ = asker.send(answers);
                }
            }
            Ok(SeatMessage::Ask { nonce, from, room, user, conn }) => {
                let Some(events) = self.events() else { return };
                let Ok(permit) = Arc::clone(&self.seat_checks.answering).try_acquire_owned() else {
                    if let Some(skipped) = self.seat_checks.skipped.pass(millis(self.seat_checks.began.elapsed())) {
                        tracing::warn!(%room, node = %from, skipped, "too many sockets are being asked about at once; one request was skipped");
                    }
                    return;
                };
                let asked = events.ask(&room, &user, conn);
                let node = Arc::clone(self);
                tokio::spawn(async move {
                    let answers = answered(asked).await;
                    if let Err(error) = node.publish_to_node(&from, &SeatMessage::Answer { nonce, answers }).await {
                        tracing::debug!(%room, node = %from, %error, "the answer about a socket could not be sent to another node");
                    }
                    drop(permit);
                });
            }
            Err(error) => self.faults.note(&corrupt("what another node asks", &error)),
        }
    }
}
