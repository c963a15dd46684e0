use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};

use super::encoded::gauge;

/// When the probes of this node last came back through Redis.
#[derive(Debug, Clone, Default)]
pub struct Echo(Arc<Mutex<Heard>>);

#[derive(Debug, Default)]
struct Heard {
    took: Duration,
    /// One for each link.
    last: Vec<(usize, Instant)>,
}

impl Echo {
    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that a probe came back on this link after this time. After a `regular` one another is expected.
    pub fn back(&self, link: usize, took: Duration, regular: bool) {
        let mut heard = self.heard();
        heard.took = took;
        heard.last.retain(|(number, _)| *number != link);
        if regular {
            heard.last.push((link, Instant::now()));
        }
    }
}

impl Collector for Echo {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (took, oldest) = {
            let heard = self.heard();
            (heard.took, heard.last.iter().map(|(_, at)| at.elapsed()).max().unwrap_or_default())
        };
        gauge(&mut encoder, "echo_seconds", "Round-trip time of the last probe through Redis", took.as_secs_f64())?;
        let help = "Time since the last probe came back from Redis, on the link where that is longest ago";
        gauge(&mut encoder, "echo_age_seconds", help, oldest.as_secs_f64())
    }
}
