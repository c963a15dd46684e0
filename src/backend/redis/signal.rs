//! Signals for one member: straight to its node, or kept for it while it is away. No script on the straight way: one costs many
//! times as much as a message.

use std::time::Duration;

use redis::Script;

use super::{codec::Stray, node::RedisNode};
use crate::{
    backend::{Backend as _, BackendError, Delivery, Inbox, Retention},
    id::{NodeId, RoomId, UserId},
    protocol::Frame,
    shared::clock_script,
    telemetry::Dropped,
};

use super::codec::member_field;

/// Stands before the first signal of an inbox when older ones had to go. A node of an earlier release, which does not know it, hands it on
/// as what it says.
const LOST: &str = r#"{"type":"DISCONTINUITY","reason":"history_gone"}"#;
/// How long a signal that cannot be sent on waits for Redis to be back.
const PATIENCE: Duration = Duration::from_secs(5);
/// Nodes that a signal is sent to one after the other, before it is kept whatever is said of its target.
const HOPS: u8 = 3;
/// Signals whose target is not where it was thought to be, that may wait to be sent on.
pub(super) const STRAYS: usize = 4_096;

/// What became of a signal that was to be kept.
enum Kept {
    Yes,
    Nobody,
    /// Its target is here.
    At(NodeId),
}

impl RedisNode {
    pub(super) async fn send(&self, stray: &Stray, at: Option<&NodeId>) -> Result<Delivery, BackendError> {
        let Some(node) = at else { return self.send_on(stray).await };
        let mut publish = redis::cmd("SPUBLISH");
        publish.arg(self.layout.node(node)).arg(stray.encode());
        let receivers: i64 = self.link(&stray.room).ask(&publish).await?;
        if receivers > 0 {
            return Ok(Delivery::Sent);
        }
        // Its node does not listen: it is dead, or about to be back.
        match self.keep(stray, true).await? {
            Kept::Nobody => Ok(Delivery::Nobody),
            Kept::Yes | Kept::At(_) => Ok(Delivery::Kept),
        }
    }

    /// For a target that is not where it was thought to be.
    async fn send_on(&self, stray: &Stray) -> Result<Delivery, BackendError> {
        match self.keep(stray, stray.hops >= HOPS).await? {
            Kept::Yes => Ok(Delivery::Kept),
            Kept::Nobody => Ok(Delivery::Nobody),
            Kept::At(node) => {
                let next = Stray { hops: stray.hops + 1, ..stray.clone() };
                Box::pin(self.send(&next, Some(&node))).await
            }
        }
    }

    async fn keep(&self, stray: &Stray, wherever: bool) -> Result<Kept, BackendError> {
        let mut call = self.scripts.keep.key(self.layout.room(&stray.room));
        call.key(self.layout.inbox(&stray.room, &stray.to));
        call.arg(member_field(&stray.to))
            .arg(stray.frame.as_str())
            .arg(Retention::SIGNALS)
            .arg(Retention::SIGNAL_BYTES);
        call.arg(self.retention.age).arg(u8::from(wherever)).arg(LOST);
        let said: Option<String> = self.link(&stray.room).invoke(&call).await?;
        let Some(said) = said else { return Ok(Kept::Nobody) };
        if let Some(gone) = said.strip_prefix(' ') {
            self.losses.note(Dropped::InboxFull, gone.parse().unwrap_or_default(), &stray.room, &stray.to);
            return Ok(Kept::Yes);
        }
        Ok(NodeId::parse(&said).map_or(Kept::Yes, Kept::At))
    }

    pub(super) async fn read_inbox(&self, room: &RoomId, user: &UserId) -> Result<Inbox, BackendError> {
        let mut range = redis::cmd("LRANGE");
        range.arg(self.layout.inbox(room, user)).arg(0).arg(-1);
        let mut frames: Vec<String> = self.link(room).ask(&range).await?;
        let lost = frames.first().is_some_and(|first| first == LOST);
        if lost {
            frames.remove(0);
        }
        Ok(Inbox { frames: frames.into_iter().map(Frame::from).collect(), lost })
    }

    pub(super) async fn empty_inbox(&self, room: &RoomId, user: &UserId, inbox: &Inbox) -> Result<(), BackendError> {
        let last = inbox.frames.last().map(Frame::as_str).or(inbox.lost.then_some(LOST));
        let Some(last) = last else { return Ok(()) };
        let mut call = self.scripts.taken.key(self.layout.inbox(room, user));
        call.arg(last).arg(inbox.frames.len() + usize::from(inbox.lost));
        self.link(room).invoke::<i64>(&call).await.map(|_| ())
    }

    /// Sends on what came here in vain, for ever.
    pub(super) async fn send_strays(&self, mut strays: tokio::sync::mpsc::Receiver<Stray>) {
        while let Some(stray) = strays.recv().await {
            let mut sent = self.send_on(&stray).await;
            if sent.is_err() && self.until_up(PATIENCE).await {
                sent = self.send_on(&stray).await;
            }
            match sent {
                Ok(Delivery::Sent | Delivery::Kept) => {}
                Ok(Delivery::Nobody) => self.losses.note(Dropped::Nobody, 1, &stray.room, &stray.to),
                Err(_) => self.losses.note(Dropped::Unsent, 1, &stray.room, &stray.to),
            }
        }
    }
}

/// The scripts, each hashed once.
#[derive(Debug)]
pub(super) struct Scripts {
    pub(super) commit: Script,
    pub(super) keep: Script,
    pub(super) taken: Script,
    pub(super) code: Script,
    pub(super) renew: Script,
    pub(super) bury: Script,
    pub(super) name: Script,
    pub(super) append: Script,
    pub(super) time: Script,
    pub(super) weigh: Script,
}

impl Default for Scripts {
    fn default() -> Self {
        Self {
            commit: Script::new(include_str!("commit.lua")),
            keep: Script::new(include_str!("keep.lua")),
            taken: Script::new(include_str!("taken.lua")),
            code: Script::new(include_str!("code.lua")),
            renew: Script::new(include_str!("renew.lua")),
            bury: Script::new(include_str!("bury.lua")),
            name: Script::new(include_str!("name.lua")),
            append: Script::new(include_str!("append.lua")),
            time: clock_script(),
            weigh: Script::new(include_str!("weigh.lua")),
        }
    }
}
