//! A node: a hub on its port, its timer, and the agent that looks after leases, dead nodes and overdue rooms.

use std::{sync::Arc, time::Duration};

use tandem::{
    account::Accounts,
    auth::Keys,
    clock::{Clock, Millis},
    config::{Config, IceConfig},
    hub::{Hub, Parts},
    id::NodeId,
    node::{AgentParts, ClusterAgent},
    room::Policy,
    socket::{Admission, Gateway, GatewayParts, Invitations, Registry},
    telemetry::Metrics,
};
use tokio::{task::AbortHandle, time::Instant};
use tokio_util::task::TaskTracker;

use crate::{bus::Shared, chance::Dice, gate::Gate, port::Port};

/// `LEASE_SECONDS`.
pub const LEASE: Duration = Duration::from_secs(10);

/// What all nodes have in common.
#[derive(Clone)]
pub struct Deployment {
    pub bus: Shared,
    pub policy: Policy,
    pub ice: IceConfig,
    pub keys: Keys,
    /// The settings of sockets.
    pub config: Arc<Config>,
    /// The time at which the story begins.
    pub start: Millis,
}

pub struct Node {
    pub name: NodeId,
    pub hub: Arc<Hub>,
    pub port: Arc<Port>,
    pub gate: Arc<Gate>,
    pub gateway: Arc<Gateway>,
    tasks: std::sync::Mutex<Vec<AbortHandle>>,
}

impl Node {
    /// Starts a process of this name, whose clock is ahead by `skew` milliseconds.
    pub fn start(name: &NodeId, of: &Deployment, skew: i64, began: Instant, dice: Dice) -> Arc<Self> {
        let gate = Arc::<Gate>::default();
        let elapsed = i64::try_from(began.elapsed().as_millis()).unwrap_or_default();
        let clock = Clock::of_tokio(of.start.saturating_add_signed(elapsed + skew));
        let metrics = Arc::new(Metrics::new(name.as_str()));
        let parts = Parts {
            node: name.clone(),
            clock,
            policy: of.policy.clone(),
            metrics: Arc::clone(&metrics),
            ping_interval: u64::try_from(of.config.socket.ping_interval.as_millis()).unwrap_or_default(),
            ice: of.ice.clone(),
            archive: None,
        };
        let mut made = None;
        let hub = Hub::new(parts, |events| {
            let port = Port::new(name.clone(), &of.bus, events, &gate, dice, LEASE);
            Arc::clone(made.insert(port)) as _
        });
        let port = made.unwrap_or_else(|| unreachable!("a hub connects"));
        let admission = Admission::new(1_000);
        let agent = ClusterAgent::new(AgentParts {
            cluster: Arc::clone(&port) as _,
            hub: Arc::clone(&hub),
            admission: Arc::clone(&admission),
            metrics: Arc::clone(&metrics),
            clock,
            fingerprints: of.keys.fingerprints(),
            lease: LEASE,
            stream_max: 100_000,
            partitions: 1,
            accounts: Vec::new(),
        });
        // Nobody is admitted until the agent has registered the node.
        admission.pause(true);
        let gateway = GatewayParts {
            hub: Arc::clone(&hub),
            keys: of.keys.clone(),
            clock,
            registry: Registry::new(Arc::clone(&metrics)),
            accounts: Accounts::unlimited(Arc::clone(&metrics)),
            tokens: None,
            invitations: Invitations::new(&of.keys, &of.config.token, Arc::default()).unwrap(),
            metrics,
            admission,
            tasks: TaskTracker::new(),
        };
        let node = Arc::new(Self {
            name: name.clone(),
            hub: Arc::clone(&hub),
            port: Arc::clone(&port),
            gate,
            gateway: Arc::new(Gateway::new(gateway, &of.config)),
            tasks: std::sync::Mutex::default(),
        });
        node.spawn(Arc::clone(&port).run());
        node.spawn(async move { hub.run().await });
        node.spawn(async move { panic!("the agent ended: {}", agent.run().await) });
        node
    }

    /// Spawns a task that ends with the process, and is paused with it.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let task = tokio::spawn(self.gate.through(work));
        let mut tasks = self.tasks.lock().unwrap();
        tasks.retain(|task| !task.is_finished());
        tasks.push(task.abort_handle());
    }

    /// Ends the process.
    pub fn kill(&self) {
        for task in self.tasks.lock().unwrap().drain(..) {
            task.abort();
        }
        self.port.is_cut();
        // Tasks that wait at the gate would live on.
        self.gate.open();
    }
}
