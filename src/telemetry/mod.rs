//! Log lines and metrics.

mod echo;
mod encoded;
mod exposition;
mod labels;
mod log;
mod metrics;
mod panics;
mod pool;
mod process;
mod runtime;
mod sharded;
mod share;
mod tally;
mod timing;

pub use echo::Echo;
pub use exposition::Format;
pub use labels::{Against, Cause, Dropped, Gap, Parting, Refused, Resumed, SeatCheck};
pub use log::{LogError, Subject, dropped_lines, flush as flush_log, init as init_log, is_for_people};
pub use metrics::{HttpMetrics, Metrics, Snapshot};
pub use panics::{contained, contained_call, log_panics, panics};
pub use pool::{PoolGauges, PoolUse};
pub use process::{Memory, ProcessCollector, memory};
pub use runtime::RuntimeCollector;
pub use sharded::Sharded;
pub use share::Share;
pub use tally::{Label, Tally};
pub use timing::Timing;
