//! Signals for one member: straight to its node, or kept for it while it is away. No script on the straight way: one costs many
//! times as much as a message.

use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::node::RedisNode;
use crate::{
    backend::{
        BackendError, Delivery, Inbox, Retention, RoomStore as _, SignalBus,
        records::{SignalEnvelope, member_field},
    },
    id::{ConnId, NodeId, RoomId, UserId},
    protocol::Frame,
    telemetry::Dropped,
};

/// Stands before the first signal of an inbox when older ones had to go. A node of an earlier release, which does not know it, hands it on
/// as what it says.
const LOST: &str = r#"{"type":"DISCONTINUITY","reason":"history_gone"}"#;
/// How long a signal that cannot be sent on waits for Redis to be back.
const PATIENCE: Duration = Duration::from_secs(5);
/// Nodes that a signal is sent to one after the other, before it is kept whatever is said of its target.
const HOPS: u8 = 3;
/// Signals whose target is not where it was thought to be, that may wait to be sent on.
pub(super) const UNDELIVERED: usize = 4_096;

/// What became of a signal that was to be kept.
enum Kept {
    Yes,
    Nobody,
    /// Its target is here.
    At(NodeId),
}

impl RedisNode {
    async fn send(&self, envelope: &SignalEnvelope, at: Option<&NodeId>) -> Result<Delivery, BackendError> {
        let Some(node) = at else { return self.send_on(envelope).await };
        let mut publish = redis::cmd("SPUBLISH");
        publish.arg(self.layout.node(node)).arg(self.codec.encode_signal(envelope));
        let receivers: i64 = self.link(&envelope.room).ask(&publish).await?;
        if receivers > 0 {
            return Ok(Delivery::Sent);
        }
        // Its node does not listen: it is dead, or about to be back.
        match self.keep(envelope, true).await? {
            Kept::Nobody => Ok(Delivery::Nobody),
            Kept::Yes | Kept::At(_) => Ok(Delivery::Kept),
        }
    }

    /// For a target that is not where it was thought to be.
    async fn send_on(&self, envelope: &SignalEnvelope) -> Result<Delivery, BackendError> {
        match self.keep(envelope, envelope.hops >= HOPS).await? {
            Kept::Yes => Ok(Delivery::Kept),
            Kept::Nobody => Ok(Delivery::Nobody),
            Kept::At(node) => {
                let next = SignalEnvelope { hops: envelope.hops + 1, ..envelope.clone() };
                Box::pin(self.send(&next, Some(&node))).await
            }
        }
    }

    async fn keep(&self, envelope: &SignalEnvelope, wherever: bool) -> Result<Kept, BackendError> {
        let mut call = self.scripts.keep.key(self.layout.room(&envelope.room));
        call.key(self.layout.inbox(&envelope.room, &envelope.to));
        call.arg(member_field(&envelope.to))
            .arg(envelope.frame.as_str())
            .arg(Retention::SIGNALS)
            .arg(Retention::SIGNAL_BYTES);
        call.arg(self.retention.age).arg(u8::from(wherever)).arg(LOST);
        let said: Option<String> = self.link(&envelope.room).invoke(&call).await?;
        let Some(said) = said else { return Ok(Kept::Nobody) };
        if let Some(gone) = said.strip_prefix(' ') {
            self.losses.note(Dropped::InboxFull, gone.parse().unwrap_or_default(), &envelope.room, &envelope.to);
            return Ok(Kept::Yes);
        }
        Ok(NodeId::parse(&said).map_or(Kept::Yes, Kept::At))
    }

    /// Sends on what came here in vain, for ever.
    pub(super) async fn send_undelivered(&self, undelivered: &mut mpsc::Receiver<SignalEnvelope>) {
        while let Some(envelope) = undelivered.recv().await {
            let mut sent = self.send_on(&envelope).await;
            if sent.is_err() && self.until_up(PATIENCE).await {
                sent = self.send_on(&envelope).await;
            }
            match sent {
                Ok(Delivery::Sent | Delivery::Kept) => {}
                Ok(Delivery::Nobody) => self.losses.note(Dropped::Nobody, 1, &envelope.room, &envelope.to),
                Err(_) => self.losses.note(Dropped::Unsent, 1, &envelope.room, &envelope.to),
            }
        }
    }
}

#[async_trait]
impl SignalBus for RedisNode {
    async fn direct(
        &self,
        room: &RoomId,
        to: &UserId,
        at: Option<&NodeId>,
        frame: Frame,
    ) -> Result<Delivery, BackendError> {
        self.send(&SignalEnvelope { hops: 0, room: room.clone(), to: to.clone(), frame }, at).await
    }

    async fn answers(
        &self,
        node: &NodeId,
        room: &RoomId,
        user: &UserId,
        conn: ConnId,
    ) -> Result<Option<bool>, BackendError> {
        self.ask_node(node, room, user, conn).await
    }

    async fn inbox(&self, room: &RoomId, user: &UserId) -> Result<Inbox, BackendError> {
        let mut range = redis::cmd("LRANGE");
        range.arg(self.layout.inbox(room, user)).arg(0).arg(-1);
        let mut frames: Vec<String> = self.link(room).ask(&range).await?;
        let lost = frames.first().is_some_and(|first| first == LOST);
        if lost {
            frames.remove(0);
        }
        Ok(Inbox { frames: frames.into_iter().map(Frame::from).collect(), lost })
    }

    async fn taken(&self, room: &RoomId, user: &UserId, inbox: &Inbox) -> Result<(), BackendError> {
        let last = inbox.frames.last().map(Frame::as_str).or(inbox.lost.then_some(LOST));
        let Some(last) = last else { return Ok(()) };
        let mut call = self.scripts.taken.key(self.layout.inbox(room, user));
        call.arg(last).arg(inbox.frames.len() + usize::from(inbox.lost));
        self.link(room).invoke::<i64>(&call).await.map(|_| ())
    }
}
