//! A node in this process: a hub on memory, its sockets, and its HTTP. Nothing in it depends on the time of day, on chance, or on what was
//! played before, so an input does the same each time.

use std::{
    sync::{Arc, OnceLock},
    thread,
};

use axum::Router;
use clap::{Args as _, FromArgMatches as _};
use tandem::{
    account::Accounts,
    auth::Keys,
    backend::{LedgerQueue as _, Memory, MemoryLedger, MemoryQueue, Retention},
    clock::Clock,
    config::Config,
    http::{AppState, AppStateParts, router},
    hub::{Hub, Parts},
    id::NodeId,
    ledger::LocalTokens,
    socket::{Admission, Gateway, GatewayParts, Invitations, Registry},
    telemetry::Metrics,
};
use tokio_util::task::TaskTracker;

/// Sunday, 1 November 2026.
const START: u64 = 1_793_491_200_000;

/// A node, and the queue that a worker would empty.
pub struct Stage {
    pub hub: Arc<Hub>,
    pub gateway: Arc<Gateway>,
    pub router: Router,
    queue: Arc<MemoryQueue>,
}

/// What is the same for all stages, and too slow to be made for each.
struct Props {
    config: Config,
    metrics: Arc<Metrics>,
}

fn props() -> &'static Props {
    static PROPS: OnceLock<Props> = OnceLock::new();
    PROPS.get_or_init(|| {
        let command = Config::augment_args(clap::Command::new("fuzz"));
        let config = Config::from_arg_matches(&command.get_matches_from(["fuzz"])).unwrap();
        Props { config, metrics: metrics() }
    })
}

/// One for the process.
pub fn metrics() -> Arc<Metrics> {
    static METRICS: OnceLock<Arc<Metrics>> = OnceLock::new();
    Arc::clone(METRICS.get_or_init(|| Arc::new(Metrics::new("fuzz"))))
}

/// Plays on a thread of its own, because the standard library draws the hash keys of a thread once; its time is virtual.
pub fn play<F: Future<Output = ()>>(work: impl FnOnce(Stage) -> F + Send) {
    // Before the first seed is sown.
    let props = props();
    let play = || {
        sim::chance::sow(1);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async { work(Stage::new(props)).await });
    };
    thread::scope(|scope| scope.spawn(play).join().unwrap());
}

impl Stage {
    fn new(Props { config, metrics }: &Props) -> Self {
        let node = NodeId::parse("fuzz").unwrap();
        let clock = Clock::of_tokio(START);
        let queue = MemoryQueue::new(1, 10_000);
        let tokens = LocalTokens::in_memory();
        let memory = Memory::single(Retention::default(), MemoryLedger::Queue(Arc::clone(&queue)), 20, tokens);
        let parts = Parts {
            node: node.clone(),
            clock,
            policy: config.policy(),
            metrics: Arc::clone(metrics),
            ping_interval: 25_000,
            ice: config.ice.clone(),
            archive: None,
        };
        let hub = Hub::new(parts, |events| memory.connect(node, events, None));
        let timer = Arc::clone(&hub);
        tokio::spawn(async move { timer.run().await });
        let keys = Keys::new(b"a secret for fuzzing");
        let admission = Admission::new(100);
        let accounts = Accounts::unlimited(Arc::clone(metrics));
        let gateway = GatewayParts {
            hub: Arc::clone(&hub),
            keys: keys.clone(),
            clock,
            metrics: Arc::clone(metrics),
            admission: Arc::clone(&admission),
            registry: Registry::new(Arc::clone(metrics)),
            accounts: Arc::clone(&accounts),
            tokens: None,
            invitations: Invitations::new(&keys, &config.token, Arc::default()).unwrap(),
            tasks: TaskTracker::new(),
        };
        let gateway = Arc::new(Gateway::new(gateway, config));
        let app = AppStateParts {
            gateway: Arc::clone(&gateway),
            hub: Arc::clone(&hub),
            backend: Arc::clone(hub.shared()),
            journal: None,
            database: None,
            keys,
            clock,
            metrics: Arc::clone(metrics),
            admission,
            accounts,
        };
        let router = router(Arc::new(AppState::new(app, config)));
        Self { hub, gateway, router, queue }
    }

    /// Checks that every room holds together, and that the ledger can be written.
    pub async fn check(&self) {
        self.hub.inspect(|room, sessions| {
            assert!(
                room.host.as_ref().is_none_or(|host| room.members.contains_key(host)),
                "a host from outside: {room:?}"
            );
            assert!(sessions <= room.members.len(), "{sessions} sessions: {room:?}");
            assert!(
                !room.exists() || room.members.is_empty() || room.host.is_some() || room.vacancy.is_some(),
                "no host: {room:?}"
            );
        });
        let mut worker = self.queue.consumer("worker", 10_000);
        for queued in worker.read().await.unwrap().entries {
            let entry = queued.entry().unwrap().unwrap();
            assert_eq!(entry.events().len() as u64, entry.event_count());
        }
    }
}
