use std::sync::atomic::AtomicU64;

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
        info::Info,
    },
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
    pub gaps: Gaps,
    pub drained: Drained,
    pub link_up: Gauge,
    pub link_restarts: Counter,
    pub echo_seconds: Gauge<f64, AtomicU64>,
    pub commit_seconds: Histogram,
    pub reaped_members: Counter,
    pub lease_lost: Counter,
    pub stream_entries: Gauge,
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

/// How the sockets of a node that was stopped ended. Nobody scrapes a node that is gone: what counts is the log line, and the last scrape.
#[derive(Debug)]
pub struct Drained {
    clean: Counter,
    forced: Counter,
    lost: Counter,
}

impl Drained {
    /// Closed with a goodbye, cut off, and seats that nobody could be told about.
    pub fn count(&self, clean: usize, forced: usize, lost: usize) {
        self.clean.inc_by(clean as u64);
        self.forced.inc_by(forced as u64);
        self.lost.inc_by(lost as u64);
    }
}

/// What became of rooms whose updates may have been missed.
#[derive(Debug)]
pub struct Gaps {
    noticed: Counter,
    replayed: Counter,
    snapshot: Counter,
    restored: Counter,
}

impl Gaps {
    /// An update came that does not follow the one before it.
    pub fn noticed(&self) {
        self.noticed.inc();
    }

    /// What was missed was found, and told.
    pub fn replayed(&self) {
        self.replayed.inc();
    }

    /// What was missed is gone: members got a DISCONTINUITY and the whole room.
    pub fn snapshot(&self) {
        self.snapshot.inc();
    }

    /// Shared state had lost the room, and got it back from this node.
    pub fn restored(&self) {
        self.restored.inc();
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
        let gaps = Family::<OutcomeLabel, Counter>::default();
        registry.register("gaps", "Rooms whose updates were missed, by what became of that", gaps.clone());
        let gap = |outcome| gaps.get_or_create_owned(&OutcomeLabel { outcome });
        let drained = Family::<OutcomeLabel, Counter>::default();
        registry.register("drained_sockets", "Sockets when this node was stopped, by how they ended", drained.clone());
        let drain = |outcome| drained.get_or_create_owned(&OutcomeLabel { outcome });
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
            gaps: Gaps {
                noticed: gap("noticed"),
                replayed: gap("replayed"),
                snapshot: gap("snapshot"),
                restored: gap("restored"),
            },
            drained: Drained { clean: drain("clean"), forced: drain("forced"), lost: drain("lost") },
            link_up: Gauge::default(),
            link_restarts: Counter::default(),
            echo_seconds: Gauge::default(),
            commit_seconds: Histogram::new(exponential_buckets(0.000_25, 2.0, 14)),
            reaped_members: Counter::default(),
            lease_lost: Counter::default(),
            stream_entries: Gauge::default(),
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
        gauge("ledger_waiting", "Entries that wait for the ledger of a single node", &metrics.journal_waiting);
        gauge("link_up", "1 while shared state can be reached", &metrics.link_up);
        gauge("ledger_stream_entries", "Entries in Redis that wait for a worker", &metrics.stream_entries);
        registry.register(
            "echo_seconds",
            "How long this node's last word to itself took",
            metrics.echo_seconds.clone(),
        );
        registry.register("commit_seconds", "How long Redis took for a commit", metrics.commit_seconds.clone());
        let mut counter = |name, help, counter: &Counter| registry.register(name, help, counter.clone());
        counter("connections_opened", "WebSockets opened", &metrics.connections_total);
        counter("upgrades_refused", "Upgrades refused with 503 or 403", &metrics.upgrades_refused);
        counter("frames_received", "Text and binary frames received", &metrics.frames_received);
        counter("frames_sent", "Frames sent: deliveries", &metrics.frames_sent);
        counter("writes", "Writes to sockets; each sends all frames that wait", &metrics.batches_sent);
        counter("commit_conflicts", "Decisions made anew because another was first", &metrics.commit_conflicts);
        let mut counter = |name, help, counter: &Counter| registry.register(name, help, counter.clone());
        counter("link_restarts", "Connections to Redis that were made anew", &metrics.link_restarts);
        counter("reaped_members", "Seats of dead nodes that this node gave up", &metrics.reaped_members);
        counter("lease_lost", "Times that this node was taken for dead", &metrics.lease_lost);
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
