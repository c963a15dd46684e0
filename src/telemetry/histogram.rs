use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeMetric, MetricEncoder, NoLabelSet},
    metrics::{MetricType, TypedMetric},
};

use super::sharded::{SHARDS, place};

/// Maximum number of bounds of a [`Histogram`].
const MOST: usize = 15;

/// A histogram of durations without a lock: it is sharded by thread. Clones share the data.
#[derive(Debug, Clone)]
pub struct Histogram(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Upper bounds, in growing order.
    bounds: &'static [Duration],
    rows: [Row; SHARDS],
}

#[derive(Debug, Default)]
#[repr(align(128))]
struct Row {
    nanos: AtomicU64,
    /// One more than the bounds, for durations beyond them.
    buckets: [AtomicU64; MOST + 1],
}

impl Histogram {
    /// A histogram with these upper bounds, at most 15.
    pub fn new(bounds: &'static [Duration]) -> Self {
        let bounds = bounds.get(..MOST).unwrap_or(bounds);
        Self(Arc::new(Inner { bounds, rows: Default::default() }))
    }

    /// Records a duration.
    pub fn observe(&self, took: Duration) {
        // Most durations are short, so a search from below is fastest.
        let bucket = self.0.bounds.iter().position(|bound| took <= *bound).unwrap_or(self.0.bounds.len());
        let Some(row) = self.0.rows.get(place()) else { return };
        row.nanos.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        if let Some(bucket) = row.buckets.get(bucket) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn sum(&self, of: impl Fn(&Row) -> &AtomicU64) -> u64 {
        self.0.rows.iter().map(|row| of(row).load(Ordering::Relaxed)).fold(0, u64::wrapping_add)
    }
}

impl TypedMetric for Histogram {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Histogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        let ends = self.0.bounds.iter().map(Duration::as_secs_f64).chain([f64::INFINITY]);
        let zero = AtomicU64::new(0);
        let mut buckets = Vec::with_capacity(self.0.bounds.len() + 1);
        for (place, end) in ends.enumerate() {
            let inside: u64 = self.0.rows.iter().map(|row| row.buckets.get(place).unwrap_or(&zero)).map(load).sum();
            buckets.push((end, inside));
        }
        let count = buckets.iter().map(|(_, inside)| inside).sum();
        let seconds = Duration::from_nanos(self.sum(|row| &row.nanos)).as_secs_f64();
        encoder.encode_histogram::<NoLabelSet>(seconds, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

fn load(number: &AtomicU64) -> u64 {
    number.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use prometheus_client::{encoding::text::encode, registry::Registry};

    use super::*;

    #[test]
    fn a_bound_is_inside_and_what_is_longer_than_all_is_counted() {
        const BOUNDS: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(5)];
        let histogram = Histogram::new(&BOUNDS);
        for micros in [500, 1_000, 1_001, 5_001] {
            histogram.observe(Duration::from_micros(micros));
        }
        let mut registry = Registry::default();
        registry.register("t", "T", histogram);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let expected = [
            "t_sum 0.007502",
            "t_count 4",
            "t_bucket{le=\"0.001\"} 2",
            "t_bucket{le=\"0.005\"} 3",
            "t_bucket{le=\"+Inf\"} 4",
        ];
        assert_eq!(lines, expected);
    }
}
