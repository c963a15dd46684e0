use std::sync::atomic::AtomicU64;

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, info::Info},
    registry::Registry,
};

use crate::protocol::{Close, Code};

/// The counters of a node. Handles are resolved once, here; whoever counts only adds.
#[derive(Debug)]
#[allow(missing_docs, reason = "each is described where it is registered")]
pub struct Metrics {
    registry: Registry,
    pub connections: Gauge,
    pub connections_total: Counter,
    pub frames_received: Counter,
    pub frames_sent: Counter,
    pub batches_sent: Counter,
    pub commit_conflicts: Counter,
    pub draining: Gauge,
    pub resumed: Resumed,
    pub upgrades_refused: Counter,
    errors: Vec<Counter>,
    closes: Family<CloseLabel, Counter>,
    rooms: Gauge,
    members: Gauge,
    memory: Gauge,
    journal_waiting: Gauge,
    journal: Family<JournalLabel, Counter<u64, AtomicU64>>,
}

/// How resuming went.
#[derive(Debug, Default)]
pub struct Resumed {
    replayed: Counter,
    snapshot: Counter,
}

impl Resumed {
    /// With what was missed.
    pub fn replayed(&self) {
        self.replayed.inc();
    }

    /// With a DISCONTINUITY.
    pub fn snapshot(&self) {
        self.snapshot.inc();
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CloseLabel {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct JournalLabel {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CodeLabel {
    code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

/// What is looked up only when somebody asks for the metrics.
#[derive(Debug, Clone, Copy, Default)]
#[allow(missing_docs, reason = "each is its own name")]
pub struct Snapshot {
    pub rooms: usize,
    pub members: usize,
    pub journal_waiting: u64,
    pub journal_written: u64,
    pub journal_lost: u64,
    pub journal_failures: u64,
}

impl Metrics {
    /// All at zero.
    pub fn new(node: &str) -> Self {
        let mut registry = Registry::with_prefix("tandem");
        let build =
            vec![("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()), ("node".to_owned(), node.to_owned())];
        registry.register("build", "What runs here", Info::new(build));
        let errors = Family::<CodeLabel, Counter>::default();
        registry.register("errors", "ERROR frames sent, by code", errors.clone());
        let resumed = Family::<OutcomeLabel, Counter>::default();
        registry.register("resumes", "Seats taken again, by how", resumed.clone());
        let metrics = Self {
            connections: Gauge::default(),
            connections_total: Counter::default(),
            frames_received: Counter::default(),
            frames_sent: Counter::default(),
            batches_sent: Counter::default(),
            commit_conflicts: Counter::default(),
            draining: Gauge::default(),
            resumed: Resumed {
                replayed: resumed.get_or_create_owned(&OutcomeLabel { outcome: "replayed" }),
                snapshot: resumed.get_or_create_owned(&OutcomeLabel { outcome: "snapshot" }),
            },
            upgrades_refused: Counter::default(),
            errors: Code::ALL
                .iter()
                .map(|code| errors.get_or_create_owned(&CodeLabel { code: code.as_str() }))
                .collect(),
            closes: Family::default(),
            rooms: Gauge::default(),
            members: Gauge::default(),
            memory: Gauge::default(),
            journal_waiting: Gauge::default(),
            journal: Family::default(),
            registry: Registry::default(),
        };
        let mut gauge = |name, help, gauge: &Gauge| registry.register(name, help, gauge.clone());
        gauge("connections", "WebSockets open", &metrics.connections);
        gauge("draining", "1 while the node is being stopped", &metrics.draining);
        gauge("rooms", "Rooms that this node takes part in", &metrics.rooms);
        gauge("members", "Members whose socket is on this node", &metrics.members);
        gauge("resident_memory_bytes", "Resident memory", &metrics.memory);
        gauge("ledger_waiting", "Entries that wait for the ledger", &metrics.journal_waiting);
        let mut counter = |name, help, counter: &Counter| registry.register(name, help, counter.clone());
        counter("connections_opened", "WebSockets opened", &metrics.connections_total);
        counter("upgrades_refused", "Upgrades refused with 503 or 403", &metrics.upgrades_refused);
        counter("frames_received", "Text and binary frames received", &metrics.frames_received);
        counter("frames_sent", "Frames sent: deliveries", &metrics.frames_sent);
        counter("writes", "Writes to sockets; each sends all frames that wait", &metrics.batches_sent);
        counter("commit_conflicts", "Decisions made anew because another was first", &metrics.commit_conflicts);
        registry.register("closes", "Sockets closed by this node, by reason", metrics.closes.clone());
        registry.register(
            "ledger_events",
            "Events by what became of them; retries counts batches",
            metrics.journal.clone(),
        );
        Self { registry, ..metrics }
    }

    /// Counts an ERROR.
    pub fn error(&self, code: Code) {
        if let Some(index) = Code::ALL.iter().position(|known| *known == code)
            && let Some(counter) = self.errors.get(index)
        {
            counter.inc();
        }
    }

    /// Counts a socket that this node closed.
    pub fn closed(&self, close: Close) {
        self.closes.get_or_create(&CloseLabel { reason: close.reason() }).inc();
    }

    /// The Prometheus text format (`OpenMetrics`).
    pub fn render(&self, now: Snapshot) -> String {
        let gauge = |gauge: &Gauge, value: u64| gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        gauge(&self.rooms, now.rooms as u64);
        gauge(&self.members, now.members as u64);
        gauge(&self.journal_waiting, now.journal_waiting);
        gauge(&self.memory, super::memory().resident);
        for (outcome, value) in
            [("written", now.journal_written), ("lost", now.journal_lost), ("retries", now.journal_failures)]
        {
            let counter = self.journal.get_or_create(&JournalLabel { outcome });
            counter.inc_by(value.saturating_sub(counter.get()));
        }
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
