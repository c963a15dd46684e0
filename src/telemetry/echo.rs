use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};

use super::encoded::gauge;

/// What this node last heard of itself through shared state.
#[derive(Debug, Clone, Default)]
pub struct Echo(Arc<Mutex<Heard>>);

#[derive(Debug, Default)]
struct Heard {
    took: Duration,
    /// By the number of the link.
    last: Vec<(usize, Instant)>,
}

impl Echo {
    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A word came back, on this link, after so long. If it is `regular`, another is to follow.
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
        gauge(&mut encoder, "echo_seconds", "How long this node's last word to itself took", took.as_secs_f64())?;
        let help = "How long ago it last heard itself, on the link where that is longest ago";
        gauge(&mut encoder, "echo_age_seconds", help, oldest.as_secs_f64())
    }
}
