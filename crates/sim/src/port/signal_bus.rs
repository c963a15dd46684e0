use std::time::Duration;

use async_trait::async_trait;
use tandem::{
    backend::{BackendError, Delivery, Inbox, RoomStore as _, SignalBus},
    id::{ConnId, NodeId, RoomId, UserId},
    protocol::Frame,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use super::port::Port;
use crate::{
    bus::{Down, Stray},
    store::Kept,
};

/// How long another node has to ask a socket for a sign of life.
const ASKED: Duration = Duration::from_secs(4);
const TRIES: u8 = 3;
const HOPS: u8 = 6;

impl Port {
    pub(super) async fn send(&self, stray: Stray, at: Option<NodeId>) -> Result<Delivery, BackendError> {
        let Some(node) = at else { return Box::pin(self.send_on(stray)).await };
        let (sent, to) = (stray.clone(), node.clone());
        if self.ask(move |bus| bus.send(&to, Down::Signal(sent))).await? {
            return Ok(Delivery::Sent);
        }
        let kept = self.keep(&stray, Some(node)).await?;
        self.follow(stray, kept).await
    }

    pub(super) async fn send_on(&self, stray: Stray) -> Result<Delivery, BackendError> {
        let here = (stray.hops >= TRIES).then(|| self.name.clone());
        let last = here.is_some();
        let kept = self.keep(&stray, here).await?;
        if last && matches!(kept, Kept::Yes) && self.tells(&stray) {
            return Ok(Delivery::Sent);
        }
        self.follow(stray, kept).await
    }

    async fn follow(&self, stray: Stray, kept: Kept) -> Result<Delivery, BackendError> {
        match kept {
            Kept::Yes => Ok(Delivery::Kept),
            Kept::At(node) if stray.hops < HOPS => {
                Box::pin(self.send(Stray { hops: stray.hops + 1, ..stray }, Some(node))).await
            }
            Kept::Nobody | Kept::At(_) => Ok(Delivery::Nobody),
        }
    }

    fn tells(&self, stray: &Stray) -> bool {
        self.sink().is_some_and(|sink| sink.signal(&stray.room, &stray.to, &stray.frame))
    }

    async fn keep(&self, stray: &Stray, without: Option<NodeId>) -> Result<Kept, BackendError> {
        let stray = stray.clone();
        self.ask(move |bus| bus.store.keep(&stray.room, &stray.to, &stray.frame, without.as_ref())).await
    }

    pub(super) async fn send_strays(&self, mut strays: mpsc::UnboundedReceiver<Stray>) {
        while let Some(stray) = strays.recv().await {
            if self.send_on(stray.clone()).await.is_err() && self.until_up(Duration::from_secs(5)).await {
                let _ = self.send_on(stray).await;
            }
        }
    }
}

#[async_trait]
impl SignalBus for Port {
    async fn direct(
        &self,
        room: &RoomId,
        to: &UserId,
        at: Option<&NodeId>,
        frame: Frame,
    ) -> Result<Delivery, BackendError> {
        self.send(Stray { hops: 0, room: room.clone(), to: to.clone(), frame }, at.cloned()).await
    }

    async fn answers(
        &self,
        node: &NodeId,
        room: &RoomId,
        user: &UserId,
        conn: ConnId,
    ) -> Result<Option<bool>, BackendError> {
        let (answer, answered) = oneshot::channel();
        let (room, user, from, node) = (room.clone(), user.clone(), self.name.clone(), node.clone());
        if !self.ask(move |bus| bus.send(&node, Down::Ask { room, user, conn, from, answer })).await? {
            return Ok(None);
        }
        Ok(timeout(ASKED, answered).await.ok().and_then(Result::ok))
    }

    async fn inbox(&self, room: &RoomId, user: &UserId) -> Result<Inbox, BackendError> {
        let (room, user) = (room.clone(), user.clone());
        self.ask(move |bus| bus.store.inbox(&room, &user)).await
    }

    async fn taken(&self, room: &RoomId, user: &UserId, inbox: &Inbox) -> Result<(), BackendError> {
        let (room, user, inbox) = (room.clone(), user.clone(), inbox.clone());
        self.ask(move |bus| bus.store.take(&room, &user, &inbox)).await
    }
}
