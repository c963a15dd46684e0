//! Two hubs over one state: what a cluster does, without its network.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::FutureExt as _;
use serde_json::Value;
use tandem::{
    backend::{Backend, BackendError, Commit, Delivery, Due, Inbox, Memory, Point, Proposal, Sink},
    clock::Clock,
    config::IceConfig,
    hub::{Arrival, Hub, HubError, Membership, Missed, Outbox, Parts},
    id::{ConnId, NodeId, RoomId, UserId},
    ledger::Archive,
    protocol::{Frame, Whisper},
    room::{Action, Command, Digest, Json, Policy, Resume, Room, Update},
    telemetry::Metrics,
};
use tokio::sync::Notify;

use crate::fixture::{conn, join, room, user};

fn hub(shared: &Arc<Memory>, name: &str) -> Arc<Hub> {
    hub_on(shared.node(NodeId::parse(name).unwrap()), name)
}

pub fn hub_on(backend: Arc<dyn Backend>, name: &str) -> Arc<Hub> {
    hub_with(backend, name, Arc::new(Metrics::new(name)), None)
}

pub fn hub_with(
    backend: Arc<dyn Backend>,
    name: &str,
    metrics: Arc<Metrics>,
    archive: Option<Arc<dyn Archive>>,
) -> Arc<Hub> {
    let node = NodeId::parse(name).unwrap();
    Hub::new(Parts {
        backend,
        metrics,
        node,
        clock: Clock::system(),
        policy: Policy::default(),
        ping_interval: 25_000,
        ice: ice(),
        archive,
    })
}

pub fn ice() -> IceConfig {
    use clap::{Args as _, FromArgMatches as _};
    let command = IceConfig::augment_args(clap::Command::new("x"));
    IceConfig::from_arg_matches(&command.get_matches_from(["x"])).unwrap()
}

/// A state that answers, but not at once when it is asked for what was missed: as one behind a network.
struct Slow {
    inner: Arc<dyn Backend>,
    asked: Notify,
    answer: Notify,
    /// Answers to that question that get lost.
    lost: AtomicUsize,
}

impl Slow {
    fn new(inner: Arc<dyn Backend>) -> Arc<Self> {
        Arc::new(Self { inner, asked: Notify::new(), answer: Notify::new(), lost: AtomicUsize::new(0) })
    }
}

#[async_trait::async_trait]
impl Backend for Slow {
    fn attach(&self, sink: Arc<dyn Sink>) {
        self.inner.attach(sink);
    }
    async fn subscribe(&self, room: &RoomId) -> Result<Room, BackendError> {
        self.inner.subscribe(room).await
    }
    async fn unsubscribe(&self, room: &RoomId) -> Result<(), BackendError> {
        self.inner.unsubscribe(room).await
    }
    fn is_up(&self) -> bool {
        self.inner.is_up()
    }
    async fn until_up(&self, within: Duration) -> bool {
        self.inner.until_up(within).await
    }
    async fn commit(&self, proposal: Proposal) -> Result<Commit, BackendError> {
        self.inner.commit(proposal).await
    }
    async fn answers(
        &self,
        node: &NodeId,
        room: &RoomId,
        user: &UserId,
        conn: ConnId,
    ) -> Result<Option<bool>, BackendError> {
        self.inner.answers(node, room, user, conn).await
    }
    async fn restore(&self, room: &Room, found: Option<Point>, due: Due) -> Result<Commit, BackendError> {
        self.inner.restore(room, found, due).await
    }
    async fn history(&self, room: &RoomId, epoch: u64, after: u64) -> Result<Option<Vec<Arc<Update>>>, BackendError> {
        let history = self.inner.history(room, epoch, after).await;
        if self.lost.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
            return Err(BackendError::Timeout);
        }
        self.asked.notify_one();
        self.answer.notified().await;
        history
    }
    async fn direct(
        &self,
        room: &RoomId,
        to: &UserId,
        at: Option<&NodeId>,
        frame: Frame,
    ) -> Result<Delivery, BackendError> {
        self.inner.direct(room, to, at, frame).await
    }
    async fn inbox(&self, room: &RoomId, user: &UserId) -> Result<Inbox, BackendError> {
        self.inner.inbox(room, user).await
    }
    async fn taken(&self, room: &RoomId, user: &UserId, inbox: &Inbox) -> Result<(), BackendError> {
        self.inner.taken(room, user, inbox).await
    }
    async fn exists(&self, room: &RoomId) -> Result<bool, BackendError> {
        self.inner.exists(room).await
    }
    async fn claim_code(&self, code: &str, room: &RoomId, until: u64, now: u64) -> Result<bool, BackendError> {
        self.inner.claim_code(code, room, until, now).await
    }
    async fn resolve_code(&self, code: &str, now: u64) -> Result<Option<RoomId>, BackendError> {
        self.inner.resolve_code(code, now).await
    }
}

pub struct Client {
    pub outbox: Arc<Outbox>,
    pub seat: Membership,
}

fn arrival(socket: &str, outbox: &Arc<Outbox>, missed: Option<Missed>) -> Arrival {
    Arrival {
        conn: conn(socket),
        outbox: Arc::clone(outbox),
        modern: true,
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
        let (seat, _) = hub.join(&room(id), join, arrival(name, &outbox, None)).await?;
        Ok(Self { outbox, seat })
    }

    pub async fn resume(hub: &Hub, name: &str, socket: &str, missed: Missed) -> Result<Self, HubError> {
        Self::resume_with(hub, name, socket, missed, 1 << 20).await
    }

    pub async fn resume_with(
        hub: &Hub,
        name: &str,
        socket: &str,
        missed: Missed,
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
        };
        let (seat, _) = hub.resume(&room("r"), resume, arrival(socket, &outbox, Some(missed))).await?;
        Ok(Self { outbox, seat })
    }

    pub fn frames(&self) -> Vec<Value> {
        let batch = self.outbox.take().now_or_never();
        let frames = batch.map(|batch| batch.frames).unwrap_or_default();
        frames.iter().map(|(frame, _)| serde_json::from_str(frame).unwrap()).collect()
    }

    /// What its ROOM_STATE, the first frame, has shown it.
    pub fn seen(&self) -> Missed {
        let state = self.frames().remove(0);
        Missed { epoch: state["epoch"].as_u64().unwrap(), version: state["version"].as_u64().unwrap() }
    }

    pub fn types(&self) -> Vec<String> {
        self.frames().iter().map(|frame| frame["type"].as_str().unwrap().to_owned()).collect()
    }

    pub async fn say(&self, hub: &Hub, event: &str) -> u64 {
        let data = Some(Json(serde_json::value::RawValue::from_string("1".to_owned()).unwrap().into()));
        hub.act(&self.seat, Action::Broadcast { event: event.into(), data }).await.unwrap()
    }
}

#[tokio::test]
async fn members_on_two_nodes_get_the_same_frames_in_the_same_order() {
    let shared = Memory::new(None, 10);
    let (north, south) = (hub(&shared, "north"), hub(&shared, "south"));
    let ana = Client::join(&north, "ana").await;
    let ben = Client::join(&south, "ben").await;
    assert_eq!(ana.types(), ["ROOM_STATE", "USER_JOINED"]);
    assert_eq!(ben.types(), ["ROOM_STATE"]);
    let talk = async |client: &Client, hub: &Hub| {
        for number in 0..100 {
            client.say(hub, &number.to_string()).await;
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(talk(&ana, &north), talk(&ben, &south));
    let (left, right) = (ana.frames(), ben.frames());
    assert_eq!(left.len(), 200);
    assert_eq!(left, right);
    assert!(left.windows(2).all(|pair| pair[0]["version"].as_u64() < pair[1]["version"].as_u64()));
}

#[tokio::test]
async fn a_member_resumes_on_another_node_and_misses_nothing() {
    let shared = Memory::new(None, 10);
    let (north, south) = (hub(&shared, "north"), hub(&shared, "south"));
    let ana = Client::join(&north, "ana").await;
    let ben = Client::join(&north, "ben").await;
    let missed = ben.seen();
    north.disconnect(&ben.seat, true).await.unwrap();
    ana.say(&north, "while away").await;
    let ben = Client::resume(&south, "ben", "ben-2", missed).await.unwrap();
    let frames = ben.frames();
    let types: Vec<_> = frames.iter().map(|frame| frame["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["RESUMED", "BROADCAST"], "but not that it was away itself");
    assert_eq!(frames[0]["replayed"], 1);
    ana.say(&north, "and after").await;
    assert_eq!(ben.types(), ["BROADCAST"]);
    assert_eq!(ana.types(), ["ROOM_STATE", "USER_JOINED", "MEMBER_AWAY", "BROADCAST", "MEMBER_BACK", "BROADCAST"]);
}

#[tokio::test]
async fn who_missed_too_much_is_told_so_and_gets_the_whole_room() {
    let shared = Memory::new(None, 10);
    let (north, south) = (hub(&shared, "north"), hub(&shared, "south"));
    let ana = Client::join(&north, "ana").await;
    let ben = Client::join(&north, "ben").await;
    let missed = ben.seen();
    north.disconnect(&ben.seat, true).await.unwrap();
    for number in 0..1_000 {
        ana.say(&north, &number.to_string()).await;
        ana.frames();
    }
    let ben = Client::resume(&south, "ben", "ben-2", missed).await.unwrap();
    let frames = ben.frames();
    assert_eq!(frames[0]["reason"], "history_gone");
    assert_eq!(frames[1]["type"], "ROOM_STATE");
    assert_eq!(frames[1]["version"], ben.seat.version());
    north.disconnect(&ana.seat, true).await.unwrap();
    let epoch = Missed { epoch: 1, ..missed };
    let ana = Client::resume(&south, "ana", "ana-2", epoch).await.unwrap();
    assert_eq!(ana.frames()[0]["reason"], "epoch_changed");
}

/// While a member is being told what it missed, the others go on.
async fn meanwhile(epoch_is_known: bool) -> Vec<String> {
    let shared = Memory::new(None, 10);
    let name = NodeId::parse("slow").unwrap();
    let slow = Slow::new(shared.node(name));
    let (north, south) = (hub(&shared, "north"), hub_on(Arc::clone(&slow) as Arc<dyn Backend>, "slow"));
    let ana = Client::join(&north, "ana").await;
    let ben = Client::join(&south, "ben").await;
    let seen = ben.seen();
    let missed = if epoch_is_known { seen } else { Missed { epoch: 1, ..seen } };
    south.disconnect(&ben.seat, true).await.unwrap();
    ana.say(&north, "before").await;
    let others = async {
        slow.asked.notified().await;
        ana.say(&north, "meanwhile").await;
        let whisper = Whisper { event: "psst".into(), data: None, to: user("ben") };
        north.whisper(&ana.seat, &whisper).await.unwrap();
        slow.answer.notify_one();
    };
    let (back, ()) = tokio::join!(Client::resume(&south, "ben", "ben-2", missed), others);
    let frames = back.unwrap().frames();
    frames.iter().map(|frame| frame.get("event").unwrap_or(&frame["type"]).as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn what_happens_meanwhile_comes_after_what_was_missed_and_once() {
    assert_eq!(meanwhile(true).await, ["RESUMED", "before", "meanwhile", "psst"]);
    assert_eq!(meanwhile(false).await, ["DISCONTINUITY", "ROOM_STATE", "psst"], "the state has the rest");
}

#[tokio::test]
async fn who_is_given_up_by_mistake_is_told_where_it_sits_now() {
    let shared = Memory::new(None, 10);
    let (north, south) = (hub(&shared, "north"), hub(&shared, "south"));
    let ana = Client::join(&south, "ana").await;
    let outbox = Arc::new(Outbox::new(1 << 20));
    let Command::Join(request) = join("ben", "north", false) else { unreachable!() };
    let (seat, _) = north.join(&room("r"), request, arrival("ben", &outbox, None)).await.unwrap();
    let ben = Client { outbox, seat };
    assert!(south.reap(north.node(), vec![room("r")]).await);
    let told = async {
        let mut told = Vec::new();
        while told.len() < 3 {
            told.extend(ben.frames());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        told
    };
    let told = tokio::select! {
        () = north.run() => unreachable!("it does not end"),
        told = tokio::time::timeout(Duration::from_mins(1), told) => told.expect("it is told"),
    };
    let types: Vec<&str> = told.iter().map(|frame| frame["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["ROOM_STATE", "DISCONTINUITY", "ROOM_STATE"], "and not that it has left");
    let users = told[2]["users"].as_array().unwrap();
    let orders: Vec<_> = users.iter().map(|user| (user["userId"].as_str().unwrap(), user["order"].as_u64())).collect();
    assert_eq!(orders, [("ana", Some(0)), ("ben", Some(2))]);
    assert_eq!(ana.types(), ["ROOM_STATE", "USER_JOINED", "USER_LEFT", "USER_JOINED"]);
}

/// What a member is told that comes back while so many answers about what it missed get lost.
async fn after_losing(answers: usize) -> Vec<Value> {
    let shared = Memory::new(None, 10);
    let slow = Slow::new(shared.node(NodeId::parse("slow").unwrap()));
    slow.lost.store(answers, Ordering::Relaxed);
    // Those that do not get lost are not late either.
    slow.answer.notify_one();
    let (north, south) = (hub(&shared, "north"), hub_on(Arc::clone(&slow) as Arc<dyn Backend>, "slow"));
    let ana = Client::join(&north, "ana").await;
    let ben = Client::join(&north, "ben").await;
    let missed = ben.seen();
    north.disconnect(&ben.seat, true).await.unwrap();
    ana.say(&north, "while away").await;
    Client::resume(&south, "ben", "ben-2", missed).await.unwrap().frames()
}

#[tokio::test]
async fn what_could_not_be_read_is_not_said_to_be_gone() {
    let frames = after_losing(1).await;
    assert_eq!(
        (&frames[0]["type"], &frames[1]["event"]),
        (&"RESUMED".into(), &"while away".into()),
        "it is asked again"
    );
    let frames = after_losing(2).await;
    assert_eq!(frames[0]["reason"], "history_unavailable");
    assert_eq!(frames[1]["type"], "ROOM_STATE");
}

#[tokio::test]
async fn a_node_that_could_not_read_what_it_missed_asks_again_before_it_says_that_it_is_gone() {
    let shared = Memory::new(None, 10);
    let deaf = Slow::new(shared.node(NodeId::parse("deaf").unwrap()));
    let (north, south) = (hub(&shared, "north"), hub_on(Arc::clone(&deaf) as Arc<dyn Backend>, "deaf"));
    let ana = Client::join(&north, "ana").await;
    let ben = Client::join(&south, "ben").await;
    ben.frames();
    // It hears nothing for a while, and then that it may have missed something.
    shared.node(NodeId::parse("deaf").unwrap()).unsubscribe(&room("r")).await.unwrap();
    ana.say(&north, "unheard").await;
    deaf.lost.store(1, Ordering::Relaxed);
    deaf.answer.notify_one();
    south.doubt_all();
    let told = async {
        let mut told = Vec::new();
        while told.is_empty() {
            told.extend(ben.types());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        told
    };
    let told = tokio::select! {
        () = south.run() => unreachable!("it does not end"),
        told = tokio::time::timeout(Duration::from_mins(1), told) => told.expect("it is told"),
    };
    assert_eq!(told, ["BROADCAST"]);
}

/// So many whispers of so many bytes wait for ben, who is away; where they wait, and what he has seen.
async fn whispered(hub: &Hub, count: usize, bytes: usize) -> Missed {
    let ana = Client::join(hub, "ana").await;
    let ben = Client::join(hub, "ben").await;
    let missed = ben.seen();
    hub.disconnect(&ben.seat, true).await.unwrap();
    for number in 0..count {
        let text = format!("\"{}\"", "x".repeat(bytes));
        let data = Some(Json(serde_json::value::RawValue::from_string(text).unwrap().into()));
        let whisper = Whisper { event: number.to_string().into(), data, to: user("ben") };
        hub.whisper(&ana.seat, &whisper).await.unwrap();
    }
    missed
}

fn events(frames: &[Value]) -> Vec<String> {
    frames.iter().filter_map(|frame| frame["event"].as_str().map(str::to_owned)).collect()
}

#[tokio::test]
async fn signals_that_do_not_fit_are_counted_and_the_member_is_told() {
    let shared = Memory::new(None, 10);
    let metrics = Arc::new(Metrics::new("north"));
    let backend = shared.counting(NodeId::parse("north").unwrap(), Some(Arc::clone(&metrics)));
    let north = hub_with(backend, "north", Arc::clone(&metrics), None);
    let missed = whispered(&north, 10, 1_000).await;
    // Half of this is for what was missed.
    let ben = Client::resume_with(&north, "ben", "ben-2", missed, 10_000).await.unwrap();
    let frames = ben.frames();
    assert_eq!((&frames[0]["type"], &frames[1]["type"]), (&"DISCONTINUITY".into(), &"ROOM_STATE".into()));
    assert_eq!(events(&frames), ["6", "7", "8", "9"], "the newest of them");
    let text = metrics.render(tandem::telemetry::Snapshot::default());
    assert!(text.contains("tandem_signals_dropped_total{why=\"outbox_full\"} 6"), "{text}");
    assert_eq!(shared_inbox(&north, &shared).await, Inbox::default(), "and they do not come twice");
}

async fn shared_inbox(north: &Hub, shared: &Arc<Memory>) -> Inbox {
    shared.node(north.node().clone()).inbox(&room("r"), &user("ben")).await.unwrap()
}

#[tokio::test]
async fn a_member_whose_inbox_has_lost_some_is_told_when_it_is_back() {
    let shared = Memory::new(None, 10);
    let metrics = Arc::new(Metrics::new("north"));
    let backend = shared.counting(NodeId::parse("north").unwrap(), Some(Arc::clone(&metrics)));
    let north = hub_with(backend, "north", Arc::clone(&metrics), None);
    let missed = whispered(&north, 300, 10).await;
    let ben = Client::resume(&north, "ben", "ben-2", missed).await.unwrap();
    let frames = ben.frames();
    assert_eq!(frames[0]["reason"], "history_gone");
    assert_eq!(events(&frames).len(), 256);
    let text = metrics.render(tandem::telemetry::Snapshot::default());
    assert!(text.contains("tandem_signals_dropped_total{why=\"inbox_full\"} 44"), "{text}");
}

#[tokio::test]
async fn signals_stay_where_they_are_when_their_member_goes_before_it_has_them() {
    let shared = Memory::new(None, 10);
    let slow = Slow::new(shared.node(NodeId::parse("slow").unwrap()));
    let (north, south) = (hub(&shared, "north"), hub_on(Arc::clone(&slow) as Arc<dyn Backend>, "slow"));
    let missed = whispered(&north, 3, 10).await;
    let goes = async {
        slow.asked.notified().await;
        // Another socket of the same user, on another node, takes the seat while the first is being told.
        let outbox = Arc::new(Outbox::new(1 << 20));
        let resume = Resume {
            user: user("ben"),
            conn: conn("ben-3"),
            node: north.node().clone(),
            origin: Digest::new([7; 32]).into(),
            proof: Digest::new([2; 32]).into(),
            token: Digest::new([2; 32]),
        };
        let arrival = arrival("ben-3", &outbox, Some(missed));
        let (seat, _) = north.resume(&room("r"), resume, arrival).await.unwrap();
        slow.answer.notify_one();
        Client { outbox, seat }
    };
    let (first, second) = tokio::join!(Client::resume(&south, "ben", "ben-2", missed), goes);
    assert_eq!(events(&second.frames()), ["0", "1", "2"]);
    assert_eq!(events(&first.unwrap().frames()), [] as [String; 0]);
}

#[tokio::test]
async fn what_comes_while_a_member_is_being_told_is_bounded_and_it_is_told() {
    let shared = Memory::new(None, 10);
    let slow = Slow::new(shared.node(NodeId::parse("slow").unwrap()));
    let metrics = Arc::new(Metrics::new("slow"));
    let south = hub_with(Arc::clone(&slow) as Arc<dyn Backend>, "slow", Arc::clone(&metrics), None);
    let north = hub(&shared, "north");
    let ana = Client::join(&north, "ana").await;
    let ben = Client::join(&north, "ben").await;
    let missed = ben.seen();
    north.disconnect(&ben.seat, true).await.unwrap();
    let others = async {
        slow.asked.notified().await;
        for number in 0..100 {
            ana.say(&north, &number.to_string()).await;
            let whisper = Whisper { event: "psst".into(), data: None, to: user("ben") };
            north.whisper(&ana.seat, &whisper).await.unwrap();
        }
        slow.answer.notify_one();
    };
    let (back, ()) = tokio::join!(Client::resume_with(&south, "ben", "ben-2", missed, 4_000), others);
    let frames = back.unwrap().frames();
    let types: Vec<_> = frames.iter().map(|frame| frame["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["DISCONTINUITY", "ROOM_STATE"]);
    let text = metrics.render(tandem::telemetry::Snapshot::default());
    assert!(text.contains("tandem_signals_dropped_total{why=\"held\"} 100"), "{text}");
}
