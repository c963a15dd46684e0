//! Log lines and metrics.

mod buckets;
mod counter_vec;
mod deprecated;
mod encoded;
mod exposition;
mod gauge_guard;
mod histogram;
mod http_metrics;
mod labels;
mod log;
mod metrics;
mod panics;
mod pool;
mod probe_stats;
mod process;
mod register;
mod runtime;
mod sharded;
mod snapshot;
mod tls_metrics;

pub use counter_vec::{CounterVec, Label};
pub use exposition::Format;
pub use gauge_guard::GaugeGuard;
pub use histogram::Histogram;
pub use http_metrics::HttpMetrics;
pub use labels::{
    Against, Cause, Dropped, Gap, InvitationRefused, PeerDisconnect, ProxyHeaderFault, Refused, Resumed, SeatCheck,
    TlsHandshake, TlsReload, TokenRefused,
};
pub use log::{
    LogError, Subject, dropped_lines, flush as flush_log, init as init_log, is_for_people, set_level as set_log_level,
};
pub use metrics::Metrics;
pub use panics::{contained, contained_call, log_panics, panics};
pub use pool::{PoolGauges, PoolUse};
pub use probe_stats::ProbeStats;
pub use process::{Memory, ProcessCollector, cpu_waited, memory, memory_limit};
pub use runtime::RuntimeCollector;
pub use sharded::Sharded;
pub use snapshot::Snapshot;
pub use tls_metrics::TlsMetrics;
