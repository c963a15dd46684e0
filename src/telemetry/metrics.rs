use std::sync::atomic::AtomicU64;

use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge, info::Info},
    registry::Registry,
};

use super::{
    Against, Cause, CounterVec, Dropped, Gap, Histogram, HttpMetrics, InvitationRefused, PeerDisconnect, PoolGauges,
    ProbeStats, ProcessCollector, Refused, Resumed, RuntimeCollector, SeatCheck, Sharded, Snapshot, TlsMetrics,
    TokenRefused,
    buckets::{COMMIT, RELAY, REMOTE},
    deprecated::with_old_names,
    labels::Journaled,
    register::{counter, gauge, histogram},
};
use crate::config::Resource;
use crate::protocol::{Close, Code, Received, ServerFrameType, unencodable};

/// The metrics of a node; `docs/metrics.md` lists them. Handles are resolved once, here, so that counting is one addition. Counters of
/// frames are sharded by thread.
#[derive(Debug)]
#[allow(missing_docs, reason = "each is described where it is registered")]
pub struct Metrics {
    registry: Registry,
    pub connections: Gauge,
    pub connections_max: Gauge,
    pub connections_total: Counter,
    pub http: HttpMetrics,
    pub tls: TlsMetrics,
    pub upgrades_refused: CounterVec<Refused>,
    pub clients: Gauge,
    pub shares_exceeded: CounterVec<Resource>,
    pub caps_exceeded: CounterVec<Resource>,
    pub user_shares_exceeded: CounterVec<Resource>,
    pub user_caps_exceeded: CounterVec<Resource>,
    pub cpu_used: Gauge<f64, AtomicU64>,
    pub runtime_lag: Gauge<f64, AtomicU64>,
    pub memory_used: Gauge<f64, AtomicU64>,
    pub received: CounterVec<Received, Sharded>,
    pub sent: CounterVec<ServerFrameType, Sharded>,
    pub writes: Counter<u64, Sharded>,
    pub errors: CounterVec<Code>,
    pub tokens_refused: CounterVec<TokenRefused>,
    pub invitations_refused: CounterVec<InvitationRefused>,
    pub revocations: Gauge,
    pub closes: CounterVec<Close>,
    pub peer_disconnects: CounterVec<PeerDisconnect>,
    pub joins_waiting: Gauge,
    pub reads_delayed: Counter,
    pub present: Gauge,
    pub away: Gauge,
    pub relay: Histogram,
    pub relay_remote: Histogram,
    clock_offset: Family<[(&'static str, &'static str); 1], Gauge<f64, AtomicU64>>,
    pub commit: Histogram,
    pub commit_conflicts: Counter,
    pub resumed: CounterVec<Resumed>,
    pub seat_checks: CounterVec<SeatCheck>,
    pub gaps: CounterVec<Gap>,
    pub reaped_members: Counter,
    pub draining: Gauge,
    pub link_up: Gauge,
    pub state_errors: CounterVec<Cause>,
    pub signals_dropped: CounterVec<Dropped>,
    pub broadcasts_left_out: Counter,
    pub entries_unguarded: Counter,
    pub link_restarts: Counter,
    pub resubscribed: Counter,
    pub probe: ProbeStats,
    pub lease_lost: Counter,
    pub stream_entries: Gauge,
    pub stream_bytes: Gauge,
    pub stream_bytes_max: Gauge,
    pub history_bytes: Gauge,
    rooms: Gauge,
    outbox_bytes: Gauge,
    outbox_fullest: Gauge,
    journal_waiting: Gauge,
    journal: CounterVec<Journaled>,
    frames_unencodable: Counter,
    pool: PoolGauges,
}

impl Metrics {
    /// Registers all metrics, at zero.
    #[allow(clippy::too_many_lines, reason = "one entry for each metric")]
    pub fn new(node: &str) -> Self {
        let mut all = Registry::default();
        all.register_collector(Box::new(ProcessCollector));
        let registry = all.sub_registry_with_prefix("tandem");
        let build =
            vec![("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()), ("node".to_owned(), node.to_owned())];
        registry.register("build", "Version of the binary and name of this node", Info::new(build));
        registry.register_collector(Box::new(RuntimeCollector));
        let members = Family::<[(&'static str, &'static str); 1], Gauge>::default();
        registry.register(
            "members",
            "Seats of this node, by whether their member has a socket (present) or not (away)",
            members.clone(),
        );
        let state = |state| members.get_or_create_owned(&[("state", state)]);
        let (present, away) = (state("present"), state("away"));
        let clock_offset = Family::<[(&'static str, &'static str); 1], Gauge<f64, AtomicU64>>::default();
        for against in [Against::System, Against::Redis] {
            clock_offset.get_or_create_owned(&[("against", against.as_str())]).set(0.0);
        }
        let help = "Seconds by which the named clock is ahead of the clock that this node stamps with; a single node has no Redis";
        registry.register("clock_offset_seconds", help, clock_offset.clone());
        let mut pressure = |name, help: &str| {
            let gauge = Gauge::<f64, AtomicU64>::default();
            registry.register(name, help, gauge.clone());
            gauge
        };
        let cpu_used = pressure(
            "cpu_used_ratio",
            "Part of the time that the threads of the async runtime were busy, a moment ago",
        );
        let runtime_lag = pressure(
            "runtime_lag_seconds",
            "How late a timer fires that a free thread would run at once, a moment ago",
        );
        let memory_used = pressure(
            "memory_used_ratio",
            "Resident memory of this process by its limit, or by the memory of the machine",
        );
        let probe = ProbeStats::default();
        registry.register_collector(Box::new(probe.clone()));
        Self {
            connections: gauge(registry, "connections", "Open WebSockets"),
            connections_max: gauge(
                registry,
                "connections_max",
                "Maximum number of open WebSockets: MAX_CONNECTIONS, or less if the limit of open files is low",
            ),
            http: HttpMetrics::register(registry),
            tls: TlsMetrics::register(registry),
            connections_total: counter(registry, "connections_opened", "WebSockets opened since the start"),
            upgrades_refused: CounterVec::register(
                registry,
                "upgrades_refused",
                "Refused upgrades, by reason: 403 for the origin, 429 for the address, 426, 405 or 400 for the handshake, otherwise 503",
            ),
            clients: gauge(
                registry,
                "clients",
                "Client addresses with an account: those that are connected, or were a moment ago",
            ),
            shares_exceeded: CounterVec::register(
                registry,
                "address_shares_exceeded",
                "Times that a client address was held to its share of what is scarce, by resource (ADDRESS_SHARES)",
            ),
            caps_exceeded: CounterVec::register(
                registry,
                "address_caps_exceeded",
                "Times that a client address reached a cap, by resource (ADDRESS_CAPS)",
            ),
            user_shares_exceeded: CounterVec::register(
                registry,
                "user_shares_exceeded",
                "Times that a user whom a token names reached its share, by resource",
            ),
            user_caps_exceeded: CounterVec::register(
                registry,
                "user_caps_exceeded",
                "Times that a user whom a token names reached a cap, by resource (USER_CAPS)",
            ),
            cpu_used,
            runtime_lag,
            memory_used,
            received: CounterVec::register(
                registry,
                "frames_received",
                "Received frames, by type; also the invalid ones, those beyond the budget or that arrived while the socket was being closed (dropped), and those that have no effect (ignored)",
            ),
            sent: CounterVec::register(
                registry,
                "frames_sent",
                "Frames written to sockets, by type; their sum is the number of deliveries",
            ),
            writes: counter(registry, "writes", "Writes to sockets; each writes all frames that wait"),
            errors: CounterVec::register(registry, "errors", "ERROR frames sent, by code"),
            tokens_refused: CounterVec::register(
                registry,
                "tokens_refused",
                "Tokens that were refused, and clients without one where one is needed, by reason",
            ),
            invitations_refused: CounterVec::register(
                registry,
                "invitations_refused",
                "Invitations that were refused, by reason",
            ),
            revocations: gauge(registry, "revocations", "Revoked tokens, users and rooms that this node knows"),
            closes: CounterVec::register(registry, "closes", "Sockets that this node closed, by reason"),
            peer_disconnects: CounterVec::register(
                registry,
                "peer_disconnects",
                "Sockets that this node did not close: closed by the client, or gone without a close frame",
            ),
            joins_waiting: gauge(
                registry,
                "joins_waiting",
                "JOINs of first-generation clients that were refused and are being retried",
            ),
            reads_delayed: counter(
                registry,
                "reads_delayed",
                "Frames after which the node paused reading a socket because it had exceeded its budget",
            ),
            present,
            away,
            relay: histogram(
                registry,
                "relay_seconds",
                "Time from the arrival of a frame until everything that follows from it on this node is in the outboxes; in a cluster this includes the commit",
                &RELAY,
            ),
            relay_remote: histogram(
                registry,
                "relay_remote_seconds",
                "Time from another node's decision until its update is in the outboxes of this node; measured by two clocks, in whole milliseconds, 0 if the other clock is ahead",
                &REMOTE,
            ),
            clock_offset,
            commit: histogram(
                registry,
                "commit_seconds",
                "Time that a commit in Redis took; empty on a single node",
                &COMMIT,
            ),
            commit_conflicts: counter(
                registry,
                "commit_conflicts",
                "Decisions that were made again because another node had committed first",
            ),
            resumed: CounterVec::register(registry, "resumes", "RESUME requests, by outcome"),
            seat_checks: CounterVec::register(
                registry,
                "seat_checks",
                "Sockets that were pinged because a client from another address claimed their seat, by outcome",
            ),
            gaps: CounterVec::register(registry, "gaps", "Gaps in the updates of rooms, by outcome"),
            reaped_members: counter(registry, "reaped_members", "Seats of dead nodes' members that this node gave up"),
            draining: gauge(registry, "draining", "1 while the node drains"),
            link_up: gauge(registry, "link_up", "1 while shared state can be reached and accepts what the node needs"),
            state_errors: CounterVec::register(
                registry,
                "state_errors",
                "Failed uses of shared state, by cause: the error of Redis, or another reason",
            ),
            signals_dropped: CounterVec::register(
                registry,
                "signals_dropped",
                "Directed frames that did not reach their member, by reason",
            ),
            broadcasts_left_out: counter(
                registry,
                "broadcasts_left_out",
                "BROADCASTs that did not reach a member because its outbox was full; the member got DISCONTINUITY",
            ),
            entries_unguarded: counter(
                registry,
                "ledger_entries_unguarded",
                "Entries that wait for a worker and that this node could not append again if Redis lost them",
            ),
            link_restarts: counter(registry, "link_restarts", "Connections to Redis that were replaced"),
            resubscribed: counter(
                registry,
                "resubscribed_rooms",
                "Rooms that were subscribed to again after a connection to Redis was replaced",
            ),
            probe,
            lease_lost: counter(
                registry,
                "lease_lost",
                "Times that the lease of this node ran out and others took it for dead",
            ),
            stream_entries: gauge(registry, "ledger_stream_entries", "Ledger entries in Redis that wait for a worker"),
            stream_bytes: gauge(
                registry,
                "ledger_stream_bytes",
                "Memory of Redis that the waiting ledger entries take, in bytes",
            ),
            stream_bytes_max: gauge(
                registry,
                "ledger_stream_max_bytes",
                "Memory of Redis that the waiting ledger entries may take, in bytes (LEDGER_STREAM_BYTES); beyond it changes are refused",
            ),
            history_bytes: gauge(
                registry,
                "history_bytes",
                "Bytes of the recent changes of all rooms that a single node keeps for those who come back; HISTORY_BYTES is the limit",
            ),
            rooms: gauge(registry, "rooms", "Rooms of which this node has a replica"),
            outbox_bytes: gauge(registry, "outbox_bytes", "Bytes that wait in the outboxes of all sockets"),
            outbox_fullest: gauge(
                registry,
                "outbox_fullest_bytes",
                "Bytes that wait in the fullest outbox; OUTBOX_BYTES is the limit",
            ),
            journal_waiting: gauge(
                registry,
                "ledger_waiting",
                "Entries that wait to be written to the ledger of a single node",
            ),
            journal: CounterVec::register(
                registry,
                "ledger_events",
                "Events of a single node's ledger, by outcome; retries counts batches",
            ),
            frames_unencodable: counter(
                registry,
                "frames_unencodable",
                "Frames that could not be encoded; the member got an ERROR internal instead",
            ),
            pool: PoolGauges::register(registry),
            registry: all,
        }
    }

    /// Records how far another clock is ahead of the clock that this node stamps with, in seconds.
    pub fn clock_offset(&self, against: Against, seconds: f64) {
        self.clock_offset.get_or_create_owned(&[("against", against.as_str())]).set(seconds);
    }

    /// The text of a scrape, in the `OpenMetrics` format; `Format` converts it to the older one.
    pub fn render(&self, now: Snapshot) -> String {
        let set = |gauge: &Gauge, value: usize| gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        set(&self.rooms, now.rooms);
        set(&self.outbox_bytes, now.outbox.0);
        set(&self.outbox_fullest, now.outbox.1);
        self.journal_waiting.set(i64::try_from(now.journal_waiting).unwrap_or(i64::MAX));
        self.journal.raise(Journaled::Written, now.journal_written);
        self.journal.raise(Journaled::Lost, now.journal_lost);
        self.journal.raise(Journaled::Retries, now.journal_failures);
        self.frames_unencodable.inc_by(unencodable().saturating_sub(self.frames_unencodable.get()));
        self.pool.set(now.pool);
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        with_old_names(&text)
    }
}
