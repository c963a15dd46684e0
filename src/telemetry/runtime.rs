use std::fmt;

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};
use tokio::runtime::Handle;

use super::{
    encoded::{counter, gauge},
    log::dropped_lines,
    panics::panics,
};

/// The runtime that answers the scrape. Nothing outside of one.
#[derive(Debug)]
pub struct RuntimeCollector;

impl Collector for RuntimeCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Ok(runtime) = Handle::try_current() else { return Ok(()) };
        let runtime = runtime.metrics();
        let busy: f64 =
            (0..runtime.num_workers()).map(|worker| runtime.worker_total_busy_duration(worker).as_secs_f64()).sum();
        gauge(&mut encoder, "runtime_workers", "Threads that run tasks", runtime.num_workers())?;
        gauge(&mut encoder, "runtime_tasks", "Tasks that have not ended", runtime.num_alive_tasks())?;
        let help = "Tasks that wait for any thread, beside those that wait for a certain one";
        gauge(&mut encoder, "runtime_queue_depth", help, runtime.global_queue_depth())?;
        counter(&mut encoder, "runtime_busy_seconds", "How long all threads that run tasks were at work", busy)?;
        let help = "Log lines that were dropped because the reader of the log did not keep up";
        counter(&mut encoder, "log_lines_dropped", help, dropped_lines())?;
        let help = "Panics: bugs that ended a connection, a request or one try of a room, and nothing else";
        counter(&mut encoder, "panics", help, panics())
    }
}
