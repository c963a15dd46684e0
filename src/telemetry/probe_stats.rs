use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};

use super::encoded::gauge;

/// When the last probe came back from Redis on each link, and how long the last one took.
#[derive(Debug, Clone, Default)]
pub struct ProbeStats(Arc<Mutex<Stats>>);

#[derive(Debug, Default)]
struct Stats {
    round_trip: Duration,
    /// The number of a link, and when its last probe came back.
    last: Vec<(usize, Instant)>,
}

impl ProbeStats {
    fn stats(&self) -> MutexGuard<'_, Stats> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that a probe came back on this link. A link that sends probes regularly counts for the age of the oldest one.
    pub fn record(&self, link: usize, round_trip: Duration, regular: bool) {
        let mut stats = self.stats();
        stats.round_trip = round_trip;
        stats.last.retain(|(number, _)| *number != link);
        if regular {
            stats.last.push((link, Instant::now()));
        }
    }
}

impl Collector for ProbeStats {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (round_trip, oldest) = {
            let stats = self.stats();
            (stats.round_trip, stats.last.iter().map(|(_, at)| at.elapsed()).max().unwrap_or_default())
        };
        let help = "Round-trip time of the last probe through Redis";
        gauge(&mut encoder, "redis_probe_seconds", help, round_trip.as_secs_f64())?;
        let help = "Time since the last probe came back from Redis, on the link where that is longest ago";
        gauge(&mut encoder, "redis_probe_age_seconds", help, oldest.as_secs_f64())
    }
}
