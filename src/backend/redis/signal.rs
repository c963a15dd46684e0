//! Signals for one member: straight to its node, or kept for it while it is away. No script on the straight way: one costs many
//! times as much as a message.

use redis::Script;

use super::{codec::Stray, node::RedisNode};
use crate::{
    backend::{BackendError, Delivery},
    clock::Millis,
    id::{NodeId, RoomId, UserId},
    protocol::Frame,
};

use super::codec::member_field;

/// How long signals wait for a member that is away.
const INBOX_AGE: Millis = 120_000;
/// Frames that are kept for one member: several peers' worth of offers and candidates.
const INBOX_FRAMES: usize = 256;
/// And their bytes.
const INBOX_BYTES: usize = 128 * 1024;
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
        call.arg(member_field(&stray.to)).arg(stray.frame.as_str()).arg(INBOX_FRAMES).arg(INBOX_BYTES).arg(INBOX_AGE);
        call.arg(u8::from(wherever));
        let said: Option<String> = self.link(&stray.room).invoke(&call).await?;
        Ok(match said.as_deref() {
            None => Kept::Nobody,
            Some(node) => NodeId::parse(node).map_or(Kept::Yes, Kept::At),
        })
    }

    pub(super) async fn take_inbox(&self, room: &RoomId, user: &UserId) -> Result<Vec<Frame>, BackendError> {
        let mut pop = redis::cmd("LPOP");
        pop.arg(self.layout.inbox(room, user)).arg(INBOX_FRAMES);
        let frames: Option<Vec<String>> = self.link(room).ask(&pop).await?;
        Ok(frames.unwrap_or_default().into_iter().map(Frame::from).collect())
    }

    /// Sends on what came here in vain, for ever.
    pub(super) async fn send_strays(&self, mut strays: tokio::sync::mpsc::Receiver<Stray>) {
        while let Some(stray) = strays.recv().await {
            match self.send_on(&stray).await {
                Ok(Delivery::Sent | Delivery::Kept) => {}
                Ok(Delivery::Nobody) => {
                    tracing::debug!(room = %stray.room, to = %stray.to, "a signal's target has left");
                }
                Err(error) => tracing::debug!(room = %stray.room, %error, "a signal could not be sent on"),
            }
        }
    }
}

/// The scripts, each hashed once.
#[derive(Debug)]
pub(super) struct Scripts {
    pub(super) commit: Script,
    pub(super) keep: Script,
    pub(super) code: Script,
    pub(super) renew: Script,
    pub(super) bury: Script,
    pub(super) name: Script,
    pub(super) append: Script,
}

impl Default for Scripts {
    fn default() -> Self {
        Self {
            commit: Script::new(include_str!("commit.lua")),
            keep: Script::new(include_str!("keep.lua")),
            code: Script::new(include_str!("code.lua")),
            renew: Script::new(include_str!("renew.lua")),
            bury: Script::new(include_str!("bury.lua")),
            name: Script::new(include_str!("name.lua")),
            append: Script::new(include_str!("append.lua")),
        }
    }
}
