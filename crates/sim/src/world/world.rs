use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use tandem::{
    auth::Keys,
    backend::Retention,
    config::{Config, IceConfig},
    id::{NodeId, RoomId, UserId},
    room::Policy,
    worker::{Pump, PumpParts, WorkerMetrics},
};
use tokio::{
    sync::mpsc,
    task::AbortHandle,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use crate::{
    bus::{Bus, lock},
    chance::Dice,
    client::{Client, Order},
    node::{Deployment, Node},
    plan::{Act, BUSY, Fault, Plan, Word},
    queue::{Consumer, Ledger},
    record::{Entered, Event, Record},
    store::Store,
};

/// The nodes by their place in the plan; `None` while a node is dead.
pub type Nodes = Arc<Mutex<BTreeMap<usize, Option<Arc<Node>>>>>;

/// Long enough for every lease, window and lost socket to be over.
const QUIET: Duration = Duration::from_secs(55);
/// Sunday, 1 November 2026.
const START: u64 = 1_793_491_200_000;

pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) deployment: Deployment,
    pub(super) nodes: Nodes,
    pub(super) record: Record,
    pub(super) dice: Dice,
    pub(super) began: Instant,
    pub(super) processes: u64,
    pub(super) ledger: Arc<Ledger>,
    pub(super) worker: Option<AbortHandle>,
}

impl World {
    pub(super) async fn run(plan: Plan, config: Arc<Config>) -> Vec<Entered> {
        let dice = Dice::new(plan.seed).branch(2);
        let record = Record::begin();
        let store = Store::keeping(Retention::default());
        let bus = Bus::new(store, record.clone(), dice.branch(1), START);
        let deployment = Deployment { bus, policy: policy(), ice: ice(), keys: keys(), config, start: START };
        let nodes = Nodes::default();
        let mut world = Self {
            plan,
            deployment,
            nodes,
            record,
            dice,
            began: Instant::now(),
            processes: 0,
            ledger: Arc::default(),
            worker: None,
        };
        world.start_worker();
        for node in 0..world.plan.nodes.len() {
            world.start(node);
        }
        let orders = world.clients();
        world.follow(&orders).await;
        world.heal();
        sleep(QUIET).await;
        for order in orders.values() {
            let _ = order.send(Order::Say(Word::Broadcast));
        }
        sleep(Duration::from_secs(15)).await;
        world.end(&orders).await;
        for node in world.nodes.lock().unwrap().values().flatten() {
            node.kill();
        }
        world.record.take()
    }

    pub(super) fn start(&mut self, number: usize) {
        self.processes += 1;
        let name = name(number);
        let skew = self.plan.nodes[number];
        let node = Node::start(&name, &self.deployment, skew, self.began, self.dice.branch(1_000 + self.processes));
        self.nodes.lock().unwrap().insert(number, Some(node));
    }

    pub(super) fn start_worker(&mut self) {
        self.processes += 1;
        let queue = Consumer::new(&self.deployment.bus, self.processes, self.dice.branch(1_000 + self.processes));
        let pump = Pump::new(PumpParts {
            queue: Box::new(queue),
            store: Arc::clone(&self.ledger) as _,
            batch: 50,
            claim: Duration::from_secs(20),
            metrics: Arc::new(WorkerMetrics::new("w")),
            condition: Arc::default(),
            stop: CancellationToken::new(),
        });
        self.worker = Some(tokio::spawn(pump.run()).abort_handle());
    }

    pub(super) fn node(&self, number: usize) -> Option<Arc<Node>> {
        self.nodes.lock().unwrap().get(&number).cloned().flatten()
    }

    fn clients(&self) -> BTreeMap<usize, mpsc::UnboundedSender<Order>> {
        let users: Vec<_> =
            (0..self.plan.clients.len()).map(|user| UserId::parse(&format!("u{user}")).unwrap()).collect();
        let room = RoomId::parse("r").unwrap();
        let mut orders = BTreeMap::new();
        for number in self.plan.present.iter().copied() {
            let (order, given) = mpsc::unbounded_channel();
            let client = Client::new(
                number,
                (room.clone(), self.plan.pin, self.plan.moderated),
                self.plan.clients[number],
                users.clone(),
                Arc::clone(&self.nodes),
                self.record.clone(),
                self.dice.branch(100 + number as u64),
            );
            tokio::spawn(client.live(given));
            orders.insert(number, order);
        }
        orders
    }

    /// Carries out each step of the plan at its time, and later what follows from it.
    async fn follow(&mut self, orders: &BTreeMap<usize, mpsc::UnboundedSender<Order>>) {
        let mut later: BTreeMap<(u64, usize), Later> = BTreeMap::new();
        for (count, step) in self.plan.steps.iter().enumerate() {
            if let Act::Fault(Fault::FallBack { back }) = step.act {
                later.insert((step.at - back, count), Later::BackUp);
            }
            later.insert((step.at, self.plan.steps.len() + count), Later::Step(count));
        }
        let mut count = 2 * self.plan.steps.len();
        while let Some(((at, _), what)) = later.pop_first() {
            sleep_until(self.began + Duration::from_millis(at)).await;
            let follows = match what {
                Later::BackUp => {
                    lock(&self.deployment.bus).back_up();
                    None
                }
                Later::Step(step) => self.act(self.plan.steps[step].act, orders),
                Later::Mend(fault) => {
                    self.mend(fault);
                    None
                }
            };
            if let Some((during, fault)) = follows {
                count += 1;
                later.insert((at + during, count), Later::Mend(fault));
            }
        }
        sleep_until(self.began + Duration::from_millis(BUSY)).await;
    }

    fn act(&mut self, act: Act, orders: &BTreeMap<usize, mpsc::UnboundedSender<Order>>) -> Option<(u64, Fault)> {
        let (client, order) = match act {
            Act::Say(client, word) => (client, Order::Say(word)),
            Act::Drop(client) => (client, Order::Drop),
            Act::Vanish(client) => (client, Order::Vanish),
            Act::Overlap(client) => (client, Order::Overlap),
            Act::Guess(client) => (client, Order::Guess),
            Act::Flood(client) => (client, Order::Flood),
            Act::Leave(client) => (client, Order::Leave),
            Act::Quit(client) => (client, Order::Quit),
            Act::Fault(fault) => {
                self.record.add(Event::Fault { what: fault.name(), during: fault.during() });
                return self.strike(fault);
            }
        };
        if let Some(orders) = orders.get(&client) {
            let _ = orders.send(order);
        }
        None
    }

    async fn end(&self, orders: &BTreeMap<usize, mpsc::UnboundedSender<Order>>) {
        let (report, mut reports) = mpsc::unbounded_channel();
        for order in orders.values() {
            let _ = order.send(Order::Report(report.clone()));
        }
        drop(report);
        let mut clients = vec![None; self.plan.clients.len()];
        while let Some((number, standing)) = reports.recv().await {
            clients[number] = standing;
        }
        let rooms = lock(&self.deployment.bus).store.rooms().filter(|room| room.exists()).cloned().collect();
        let mut replicas = Vec::new();
        for node in self.nodes.lock().unwrap().values().flatten() {
            node.hub.inspect(|room, seats| replicas.push((node.name.clone(), room.clone(), seats)));
        }
        self.record.add(Event::End { rooms, replicas, clients, ledger: self.ledger.events() });
    }
}

/// Something that is still to be done in a story.
pub(super) enum Later {
    BackUp,
    Step(usize),
    Mend(Fault),
}

/// The keys of all nodes.
pub(crate) fn keys() -> Keys {
    Keys::new(b"simulation")
}

pub(super) fn name(number: usize) -> NodeId {
    NodeId::parse(&format!("n{number}")).unwrap()
}

pub(super) fn ice() -> IceConfig {
    IceConfig {
        ice_servers: None,
        stun_urls: Vec::new(),
        turn_urls: Vec::new(),
        turn_secret: None,
        turn_ttl: Duration::from_hours(1),
    }
}

/// The times are shorter than the defaults, so that a story need not wait for long.
fn policy() -> Policy {
    Policy { resume_window: 15_000, host_grace: 8_000, ..Policy::default() }
}
