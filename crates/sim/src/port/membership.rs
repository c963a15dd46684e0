use async_trait::async_trait;
use tandem::{
    backend::{BackendError, DeploymentError, Membership, Renewal},
    clock::{Clock, Look, Millis},
    id::{NodeId, RoomId},
};

use super::port::Port;

/// How long a node may take for the rooms of a dead node, in milliseconds.
const CLAIM: Millis = 10_000;

#[async_trait]
impl Membership for Port {
    fn is_accepting(&self) -> bool {
        true
    }

    async fn check_deployment(&self, _fingerprints: &[String]) -> Result<(), DeploymentError> {
        self.ask(|_| ()).await.map_err(DeploymentError::from)
    }

    async fn take_name(&self) -> Result<(), BackendError> {
        self.ask(|_| ()).await
    }

    async fn namesakes(&self) -> Result<u64, BackendError> {
        // An earlier process of this name is dead when the next one starts.
        self.ask(|_| 1).await
    }

    async fn renew(&self) -> Result<Renewal, BackendError> {
        let (name, lease) = (self.name.clone(), self.lease);
        let renewed = self.ask(move |bus| {
            let now = bus.now();
            bus.store.renew(&name, lease, now)
        });
        let (lost, mut dead) = renewed.await?;
        dead.retain(|node| *node != self.name);
        Ok(Renewal { lost, usurped: false, outdated: None, dead })
    }

    async fn leave(&self) -> Result<(), BackendError> {
        Ok(())
    }

    async fn take_over(&self, dead: &NodeId) -> Result<bool, BackendError> {
        let dead = dead.clone();
        self.ask(move |bus| {
            let now = bus.now();
            bus.store.claim(&dead, now + CLAIM, now)
        })
        .await
    }

    async fn rooms_of(&self, node: &NodeId) -> Result<Vec<RoomId>, BackendError> {
        let node = node.clone();
        self.ask(move |bus| bus.store.held(&node)).await
    }

    async fn abandoned_rooms(&self) -> Result<Vec<RoomId>, BackendError> {
        let mut rooms = self.rooms_of(&self.name).await?;
        let link = self.link.lock().unwrap();
        rooms.retain(|room| !link.rooms.contains(room));
        Ok(rooms)
    }

    async fn announce_rooms(&self) -> Result<(), BackendError> {
        let (name, rooms) = (self.name.clone(), self.link.lock().unwrap().rooms.clone());
        self.ask(move |bus| bus.store.hold(&name, rooms)).await
    }

    async fn remove_node(&self, dead: &NodeId) -> Result<(), BackendError> {
        let dead = dead.clone();
        self.ask(move |bus| {
            let now = bus.now();
            bus.store.bury(&dead, now);
        })
        .await
    }

    async fn read_clock(&self, clock: &Clock) -> Result<Look, BackendError> {
        let before = clock.count();
        let said = self.ask(|bus| i64::try_from(bus.now()).unwrap_or(i64::MAX / 1_000) * 1_000).await?;
        Ok(Look { before, said, after: clock.count() })
    }
}
