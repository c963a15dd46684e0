//! Signals for one member: sent to its node, or kept while it is away. Sending uses no script, because that costs many times as much as a
//! message.

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

/// Begins an inbox from which older signals were dropped. A node of an earlier release, which does not know it, delivers the text as a
/// frame.
const LOST: &str = r#"{"type":"DISCONTINUITY","reason":"history_gone"}"#;
/// How long a signal that has to be sent on waits for Redis.
const PATIENCE: Duration = Duration::from_secs(5);
/// Maximum number of times that a signal is sent to the node that finds no socket for it, since the target may be joining there.
const TRIES: u8 = 3;
/// Maximum number of nodes that a signal is sent to.
const HOPS: u8 = 6;
/// Maximum number of signals that wait to be sent on.
pub(super) const UNDELIVERED: usize = 4_096;

/// The outcome of keeping a signal.
enum Kept {
    Yes,
    Nobody,
    /// The target is connected to this node.
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
        // The node of the target is not subscribed: it is dead, or about to come back.
        let kept = self.keep(envelope, Some(node)).await?;
        self.follow(envelope, kept).await
    }

    /// Sends on a signal whose target is not on the node that it was sent to.
    async fn send_on(&self, envelope: &SignalEnvelope) -> Result<Delivery, BackendError> {
        let here = (envelope.hops >= TRIES).then_some(&self.name);
        let kept = self.keep(envelope, here).await?;
        if matches!(kept, Kept::Yes) && here.is_some() && self.tell(envelope) {
            // Its socket has come while the signal was put into the inbox, and may have read that before.
            return Ok(Delivery::Sent);
        }
        self.follow(envelope, kept).await
    }

    /// Sends a signal to where its target is instead.
    async fn follow(&self, envelope: &SignalEnvelope, kept: Kept) -> Result<Delivery, BackendError> {
        match kept {
            Kept::Yes => Ok(Delivery::Kept),
            Kept::At(node) if envelope.hops < HOPS => {
                let next = SignalEnvelope { hops: envelope.hops + 1, ..envelope.clone() };
                Box::pin(self.send(&next, Some(&node))).await
            }
            Kept::Nobody | Kept::At(_) => Ok(Delivery::Nobody),
        }
    }

    /// Keeps a signal in the inbox of its target, if that is away or on a node of which is known that it has no socket for it. In the inbox of
    /// a member that is somewhere else nobody would look.
    async fn keep(&self, envelope: &SignalEnvelope, without: Option<&NodeId>) -> Result<Kept, BackendError> {
        let mut call = self.scripts.keep.key(self.layout.room(&envelope.room));
        call.key(self.layout.inbox(&envelope.room, &envelope.to));
        call.arg(member_field(&envelope.to))
            .arg(envelope.frame.as_str())
            .arg(Retention::SIGNALS)
            .arg(Retention::SIGNAL_BYTES);
        call.arg(self.retention.age).arg(without.map_or("", NodeId::as_str)).arg(LOST);
        let answer: Option<String> = self.link(&envelope.room).invoke(&call).await?;
        let Some(answer) = answer else { return Ok(Kept::Nobody) };
        if let Some(gone) = answer.strip_prefix(' ') {
            self.losses.note(Dropped::InboxFull, gone.parse().unwrap_or_default(), &envelope.room, &envelope.to);
            return Ok(Kept::Yes);
        }
        Ok(NodeId::parse(&answer).map_or(Kept::Yes, Kept::At))
    }

    /// Sends on the signals whose target is not on this node. Does not return.
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
        let mut last: Vec<_> = inbox.last_of_each().into_iter().map(Frame::as_str).collect();
        if inbox.is_empty() {
            return Ok(());
        }
        if last.is_empty() {
            last.push(LOST);
        }
        let mut call = self.scripts.taken.key(self.layout.inbox(room, user));
        call.arg(inbox.frames.len() + 1).arg(if inbox.lost { "" } else { LOST }).arg(self.retention.age);
        for frame in last {
            call.arg(frame);
        }
        self.link(room).invoke::<i64>(&call).await.map(|_| ())
    }
}
