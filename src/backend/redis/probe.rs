//! Asking another node whether one of its sockets still answers.

use std::{sync::Arc, time::Duration};

use dashmap::DashMap;
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{Semaphore, oneshot},
    time::timeout,
};

use super::node::RedisNode;
use crate::{
    backend::{BackendError, answered},
    id::{ConnId, NodeId, RoomId, UserId},
};

/// Stands before a question or an answer on a node's channel, after the version. A signal has a digit there.
pub(super) const MARK: &[u8] = b"?";
/// How long the other node has for its answer: it waits for its socket for three seconds.
const PATIENCE: Duration = Duration::from_secs(4);
/// Sockets that other nodes may be waiting for at once.
const MOST: usize = 1_024;

/// What nodes say to each other about a socket.
#[derive(Debug, Serialize, Deserialize)]
enum Word {
    /// Does it still answer? Tell `from`.
    Ask { nonce: u64, from: NodeId, room: RoomId, user: UserId, conn: ConnId },
    /// It does, or does not.
    Told { nonce: u64, answers: bool },
}

/// Questions on their way, both ways.
#[derive(Debug)]
pub(super) struct Probes {
    asked: DashMap<u64, oneshot::Sender<bool>>,
    answering: Arc<Semaphore>,
}

impl Default for Probes {
    fn default() -> Self {
        Self { asked: DashMap::new(), answering: Arc::new(Semaphore::new(MOST)) }
    }
}

/// A question of this node; nobody waits for its answer once it is dropped.
struct Question<'a>(&'a Probes, u64);

impl Drop for Question<'_> {
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
        self.probes.asked.insert(nonce, told);
        let _question = Question(&self.probes, nonce);
        let (from, room, user) = (self.name.clone(), room.clone(), user.clone());
        if self.say(node, &Word::Ask { nonce, from, room, user, conn }).await? == 0 {
            return Ok(None);
        }
        Ok(timeout(PATIENCE, answer).await.ok().and_then(Result::ok))
    }

    /// How many heard it.
    async fn say(&self, node: &NodeId, word: &Word) -> Result<i64, BackendError> {
        let mut text = self.codec.begin().into_bytes();
        text.extend(MARK);
        serde_json::to_writer(&mut text, word).map_err(|error| BackendError::Unencodable(error.to_string()))?;
        self.main().ask(redis::cmd("SPUBLISH").arg(self.layout.node(node)).arg(text)).await
    }

    /// Runs on the connection's own task, and does not wait.
    pub(super) fn on_word(self: &Arc<Self>, text: &[u8]) {
        match serde_json::from_slice(text) {
            Ok(Word::Told { nonce, answers }) => {
                if let Some((_, asker)) = self.probes.asked.remove(&nonce) {
                    // It may have given up waiting just now.
                    let _ = asker.send(answers);
                }
            }
            Ok(Word::Ask { nonce, from, room, user, conn }) => {
                let Some(events) = self.events() else { return };
                let Ok(permit) = Arc::clone(&self.probes.answering).try_acquire_owned() else {
                    tracing::warn!(%room, node = %from, "too many sockets are being asked about at once; one request was skipped");
                    return;
                };
                let asked = events.ask(&room, &user, conn);
                let node = Arc::clone(self);
                tokio::spawn(async move {
                    let answers = answered(asked).await;
                    if let Err(error) = node.say(&from, &Word::Told { nonce, answers }).await {
                        tracing::debug!(%room, node = %from, %error, "the answer about a socket could not be sent to another node");
                    }
                    drop(permit);
                });
            }
            Err(error) => tracing::warn!(%error, "what another node asks cannot be read"),
        }
    }
}
