use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    measure::Latency,
    report::Sheet,
    units::{float, micros},
};

/// Counts are kept for each interval of this length, to find their peaks.
const SLICE: Duration = Duration::from_millis(100);

const KEPT_ERRORS: usize = 20;

#[derive(Debug)]
pub(super) struct Record {
    begun: Instant,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    counts: BTreeMap<&'static str, Vec<u64>>,
    latencies: BTreeMap<&'static str, Latency>,
    errors: Vec<String>,
}

impl Record {
    pub(super) fn new() -> Self {
        Self { begun: Instant::now(), inner: Mutex::default() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A moment in microseconds since the beginning. Messages carry it, so that their receiver knows when they were due.
    pub(super) fn micros(&self, at: Instant) -> u64 {
        micros(at.saturating_duration_since(self.begun))
    }

    fn slice(&self, at: Instant) -> usize {
        let slice = at.saturating_duration_since(self.begun).as_millis() / SLICE.as_millis();
        usize::try_from(slice).unwrap_or(usize::MAX)
    }

    pub(super) fn count(&self, name: &'static str, times: u64) {
        let slice = self.slice(Instant::now());
        let mut inner = self.inner();
        let slices = inner.counts.entry(name).or_default();
        if slices.len() <= slice {
            slices.resize(slice + 1, 0);
        }
        if let Some(count) = slices.get_mut(slice) {
            *count += times;
        }
    }

    /// Records the latency of something that was due at a moment of [`Self::micros`] and has arrived now.
    pub(super) fn arrived(&self, name: &'static str, due: u64) {
        let (now, due) = (Instant::now(), self.begun + Duration::from_micros(due));
        let mut inner = self.inner();
        if !inner.latencies.contains_key(name)
            && let Ok(empty) = Latency::new()
        {
            inner.latencies.insert(name, empty);
        }
        if let Some(latency) = inner.latencies.get_mut(name) {
            latency.record(due, now);
        }
    }

    /// Records something that should not have happened.
    pub(super) fn error(&self, error: String) {
        self.count("errors", 1);
        let mut inner = self.inner();
        if inner.errors.len() < KEPT_ERRORS {
            inner.errors.push(error);
        }
    }

    pub(super) fn total(&self, name: &str) -> u64 {
        self.inner().counts.get(name).map_or(0, |slices| slices.iter().sum())
    }

    /// The highest count in a tenth of a second since a moment.
    pub(super) fn peak_since(&self, name: &str, at: Instant) -> u64 {
        let first = self.slice(at);
        self.inner().counts.get(name).map_or(0, |slices| slices.iter().skip(first).copied().max().unwrap_or(0))
    }

    pub(super) fn report(&self, sheet: &mut Sheet) {
        // What was never counted has not happened.
        for name in ["lost", "doubled", "out_of_order", "errors", "announced_left", "discontinuities"] {
            sheet.set("", name, 0.0);
        }
        let inner = self.inner();
        for (name, slices) in &inner.counts {
            sheet.set("", name, float(slices.iter().sum()));
        }
        for (name, latency) in &inner.latencies {
            latency.report(sheet, "", name);
        }
    }

    pub(super) fn errors(&self) -> Vec<String> {
        self.inner().errors.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Shape;

    #[test]
    fn counts_have_a_total_and_a_peak() {
        let record = Record::new();
        record.count("sent", 2);
        std::thread::sleep(SLICE + Duration::from_millis(10));
        let later = Instant::now();
        record.count("sent", 5);
        assert_eq!((record.total("sent"), record.total("other")), (7, 0));
        assert_eq!((record.peak_since("sent", record.begun), record.peak_since("sent", later)), (5, 5));
    }

    #[test]
    fn what_never_happened_is_reported_as_zero() {
        let record = Record::new();
        record.error("refused".to_owned());
        record.arrived("chat", 0);
        let mut sheet = Sheet::new("", Shape::Single);
        record.report(&mut sheet);
        let figures = ["lost", "errors", "chat_p99_ms"].map(|name| sheet.get("", name).map(|value| value >= 1.0));
        assert_eq!((figures[0], figures[1]), (Some(false), Some(true)));
        assert!(figures[2].is_some() && record.errors() == ["refused"]);
    }
}
