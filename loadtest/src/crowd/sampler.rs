use std::{
    collections::HashMap,
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use tokio::{task::JoinHandle, time::sleep};

use super::Record;
use crate::{probe::Cpu, units::float, venue::SharedMeters};

/// How often the servers are looked at.
const EVERY: Duration = Duration::from_secs(1);

/// Writes down CPU and memory of the servers, and closes each second of the record.
#[derive(Debug)]
pub(crate) struct Sampler(JoinHandle<()>);

impl Sampler {
    /// Begins.
    pub(crate) fn start(record: Arc<Record>, meters: SharedMeters) -> Self {
        Self(tokio::spawn(async move {
            let mut before: HashMap<&'static str, (Cpu, Instant)> = HashMap::new();
            loop {
                sleep(EVERY).await;
                record.turn();
                let meters = meters.lock().unwrap_or_else(PoisonError::into_inner).clone();
                for meter in meters {
                    // A server that is just being restarted has no figures.
                    let (Ok(cpu), Ok(rss)) = (meter.cpu(), meter.rss()) else { continue };
                    let now = Instant::now();
                    let part = meter.part();
                    if let Some((was, at)) = before.insert(part, (cpu, now)) {
                        let share = (cpu - was).total().as_secs_f64() / (now - at).as_secs_f64();
                        record.gauge(&format!("cpu {part}"), share * 100.0);
                    }
                    record.gauge(&format!("rss {part}"), float(rss) / 1_048_576.0);
                }
            }
        }))
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.0.abort();
    }
}
