use std::fmt;

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};
use tokio::runtime::Handle;

use super::{
    encoded::{counter, gauge},
    log::dropped_lines,
    panics::panics,
};

/// Metrics of the runtime that answers the scrape; none outside of a runtime.
#[derive(Debug)]
pub struct RuntimeCollector;

impl Collector for RuntimeCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Ok(runtime) = Handle::try_current() else { return Ok(()) };
        let runtime = runtime.metrics();
        let busy: f64 =
            (0..runtime.num_workers()).map(|worker| runtime.worker_total_busy_duration(worker).as_secs_f64()).sum();
        gauge(&mut encoder, "runtime_workers", "Threads of the async runtime", runtime.num_workers())?;
        gauge(&mut encoder, "runtime_tasks", "Live tasks of the async runtime", runtime.num_alive_tasks())?;
        let help = "Tasks in the global queue of the async runtime; the queues of its threads are not included";
        gauge(&mut encoder, "runtime_queue_depth", help, runtime.global_queue_depth())?;
        counter(&mut encoder, "runtime_busy_seconds", "Time that the threads of the async runtime were busy", busy)?;
        let help = "Log lines that were dropped because the reader of the log was too slow";
        counter(&mut encoder, "log_lines_dropped", help, dropped_lines())?;
        let help = "Panics: bugs that ended a connection, a request or one attempt of a room, and nothing else";
        counter(&mut encoder, "panics", help, panics())
    }
}
