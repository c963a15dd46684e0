//! Members of a hub without sockets, and hubs over any back end.

use std::sync::{Arc, Weak};

use futures_util::FutureExt as _;
use serde_json::Value;
use tandem::{
    backend::{Backend, Memory, MemoryLedger, Retention, RoomEvents},
    clock::Clock,
    config::IceConfig,
    hub::{Hub, HubError, JoiningSocket, Membership, Outbox, Parts},
    id::NodeId,
    ledger::{Archive, LocalTokens},
    protocol::Generation,
    room::{Action, Command, Digest, Json, Policy, Resume, StreamPosition},
    telemetry::Metrics,
};

use crate::{
    double::{Tapped, Taps},
    fixture::{conn, join, room, user},
};

/// State for several hubs.
pub fn memory() -> Arc<Memory> {
    Memory::single(Retention::default(), MemoryLedger::None, 10, LocalTokens::in_memory())
}

/// A node on it.
pub fn hub(shared: &Arc<Memory>, name: &str) -> Arc<Hub> {
    counting_hub(shared, name, &Arc::new(Metrics::new(name)))
}

pub fn counting_hub(shared: &Arc<Memory>, name: &str, metrics: &Arc<Metrics>) -> Arc<Hub> {
    let counts = Some(Arc::clone(metrics));
    let node = NodeId::parse(name).unwrap();
    hub_with(name, Arc::clone(metrics), None, |events| shared.connect(node, events, counts))
}

/// A node on it, with taps between.
pub fn tapped_hub<T: Taps>(shared: &Arc<Memory>, name: &str, metrics: Arc<Metrics>, taps: &Arc<T>) -> Arc<Hub> {
    let node = NodeId::parse(name).unwrap();
    hub_with(name, metrics, None, |events| {
        Arc::new(Tapped { inner: shared.connect(node, events, None), taps: Arc::clone(taps) })
    })
}

pub fn hub_with(
    name: &str,
    metrics: Arc<Metrics>,
    archive: Option<Arc<dyn Archive>>,
    connect: impl FnOnce(Weak<dyn RoomEvents>) -> Arc<dyn Backend>,
) -> Arc<Hub> {
    let node = NodeId::parse(name).unwrap();
    let parts = Parts {
        metrics,
        node,
        clock: Clock::system(),
        policy: Policy::default(),
        ping_interval: 25_000,
        ice: ice(),
        archive,
    };
    Hub::new(parts, connect)
}

fn ice() -> IceConfig {
    use clap::{Args as _, FromArgMatches as _};
    let command = IceConfig::augment_args(clap::Command::new("x"));
    IceConfig::from_arg_matches(&command.get_matches_from(["x"])).unwrap()
}

pub struct Client {
    pub outbox: Arc<Outbox>,
    pub seat: Membership,
}

pub fn joining_socket(socket: &str, outbox: &Arc<Outbox>, missed: Option<StreamPosition>) -> JoiningSocket {
    JoiningSocket {
        conn: conn(socket),
        outbox: Arc::clone(outbox),
        generation: Generation::Current,
        account: None,
        features: &["resume"],
        token: Some("token".into()),
        missed,
    }
}

impl Client {
    pub async fn join(hub: &Hub, name: &str) -> Self {
        Self::enter(hub, "r", name).await.unwrap()
    }

    pub async fn enter(hub: &Hub, id: &str, name: &str) -> Result<Self, HubError> {
        let outbox = Arc::new(Outbox::new(1 << 20));
        let Command::Join(join) = join(name, hub.node().as_str(), true) else { unreachable!() };
        let (seat, _) = hub.join(&room(id), join, joining_socket(name, &outbox, None)).await?;
        Ok(Self { outbox, seat })
    }

    pub async fn resume(hub: &Hub, name: &str, socket: &str, missed: StreamPosition) -> Result<Self, HubError> {
        Self::resume_with(hub, name, socket, missed, 1 << 20).await
    }

    pub async fn resume_with(
        hub: &Hub,
        name: &str,
        socket: &str,
        missed: StreamPosition,
        budget: usize,
    ) -> Result<Self, HubError> {
        let outbox = Arc::new(Outbox::new(budget));
        let resume = Resume {
            user: user(name),
            conn: conn(socket),
            node: hub.node().clone(),
            origin: Digest::new([7; 32]).into(),
            proof: Digest::new([2; 32]).into(),
            token: Digest::new([2; 32]),
            grant: None,
        };
        let (seat, _) = hub.resume(&room("r"), resume, joining_socket(socket, &outbox, Some(missed))).await?;
        Ok(Self { outbox, seat })
    }

    /// Whoever asks for a sign of life has it then.
    pub fn frames(&self) -> Vec<Value> {
        let Some(batch) = self.outbox.take().now_or_never() else { return Vec::new() };
        for asker in batch.prompt.into_iter().flat_map(|prompt| prompt.askers) {
            let _ = asker.send(());
        }
        batch.frames.iter().map(|frame| serde_json::from_str(frame).unwrap()).collect()
    }

    /// The room in its ROOM_STATE, the first frame.
    pub fn seen(&self) -> StreamPosition {
        let state = self.frames().remove(0);
        StreamPosition { epoch: state["epoch"].as_u64().unwrap(), version: state["version"].as_u64().unwrap() }
    }

    pub fn types(&self) -> Vec<String> {
        self.frames().iter().map(|frame| frame["type"].as_str().unwrap().to_owned()).collect()
    }

    pub async fn say(&self, hub: &Hub, event: &str) -> u64 {
        let data = Some(Json(serde_json::value::RawValue::from_string("1".to_owned()).unwrap().into()));
        hub.act(&self.seat, Action::Broadcast { event: event.into(), data }).await.unwrap()
    }

    pub async fn play(&self, hub: &Hub, playing: bool) -> u64 {
        let play = Action::PlayPause { playing, position: Some(1.0), event: None, rate: None };
        hub.act(&self.seat, play).await.unwrap()
    }
}
