//! What operators see: log lines and metrics.

mod log;
mod metrics;
mod process;

pub use log::{LogError, init as init_log, is_for_people};
pub use metrics::{Drained, Gaps, Metrics, Snapshot};
pub use process::{Memory, memory};
