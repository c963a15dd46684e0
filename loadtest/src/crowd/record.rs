use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{latency::Latency, units::float};

/// What is counted is known by the tenth of a second.
const SLICE: Duration = Duration::from_millis(100);

/// Slices of a second.
const SLICES: usize = 10;

/// What everybody writes down.
#[derive(Debug)]
pub(crate) struct Record {
    begun: Instant,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    counts: BTreeMap<&'static str, Vec<u64>>,
    spans: BTreeMap<&'static str, Spans>,
    gauges: BTreeMap<String, Vec<(f64, f64)>>,
    complaints: Vec<String>,
}

/// Latencies of one kind.
#[derive(Debug)]
struct Spans {
    all: Latency,
    second: Latency,
    /// The 99th percentile of each second.
    seconds: Vec<(f64, f64)>,
}

/// The time since the beginning, in microseconds: what is sent along to be found on arrival.
pub(crate) type Tick = u64;

/// Complaints that are kept in full.
const COMPLAINTS: usize = 20;

impl Record {
    /// From now on.
    pub(crate) fn new() -> Self {
        Self { begun: Instant::now(), inner: Mutex::default() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// That moment as a tick.
    pub(crate) fn tick(&self, at: Instant) -> Tick {
        crate::units::micros(at.saturating_duration_since(self.begun))
    }

    fn seconds(&self) -> f64 {
        self.begun.elapsed().as_secs_f64()
    }

    /// It happened again.
    pub(crate) fn count(&self, name: &'static str, times: u64) {
        let slice = self.begun.elapsed().as_millis() / SLICE.as_millis();
        let Ok(slice) = usize::try_from(slice) else { return };
        let mut inner = self.inner();
        let slices = inner.counts.entry(name).or_default();
        if slices.len() <= slice {
            slices.resize(slice + 1, 0);
        }
        if let Some(count) = slices.get_mut(slice) {
            *count += times;
        }
    }

    /// Something that was due then is there now.
    pub(crate) fn arrived(&self, name: &'static str, due: Tick) {
        let now = Instant::now();
        let due = self.begun + Duration::from_micros(due);
        let mut inner = self.inner();
        let Ok(empty) = Latency::new() else { return };
        let fresh = || Spans { all: empty.clone(), second: empty.clone(), seconds: Vec::new() };
        let spans = inner.spans.entry(name).or_insert_with(fresh);
        spans.all.record(due, now);
        spans.second.record(due, now);
    }

    /// What was read off something just now.
    pub(crate) fn gauge(&self, name: &str, value: f64) {
        let at = self.seconds();
        self.inner().gauges.entry(name.to_owned()).or_default().push((at, value));
    }

    /// Something that should not have happened.
    pub(crate) fn complain(&self, complaint: String) {
        self.count("complaints", 1);
        let mut inner = self.inner();
        if inner.complaints.len() < COMPLAINTS {
            inner.complaints.push(complaint);
        }
    }

    /// A second is over.
    pub(crate) fn turn(&self) {
        let at = self.seconds();
        for spans in self.inner().spans.values_mut().filter(|spans| spans.second.count() > 0) {
            spans.seconds.push((at, float(spans.second.quantile(0.99)) / 1e3));
            if let Ok(empty) = Latency::new() {
                spans.second = empty;
            }
        }
    }

    /// How often it happened.
    pub(crate) fn total(&self, name: &str) -> u64 {
        self.inner().counts.get(name).map_or(0, |slices| slices.iter().sum())
    }

    /// The most of it in a tenth of a second, since then.
    pub(crate) fn peak_since(&self, name: &str, at: Instant) -> u64 {
        let first = at.saturating_duration_since(self.begun).as_millis() / SLICE.as_millis();
        let first = usize::try_from(first).unwrap_or(usize::MAX);
        self.inner().counts.get(name).map_or(0, |slices| slices.iter().skip(first).copied().max().unwrap_or(0))
    }

    /// How often each thing happened, all in all and at the most in a tenth of a second.
    pub(crate) fn totals(&self) -> Vec<(&'static str, u64, u64)> {
        let inner = self.inner();
        let total = |(name, slices): (&&'static str, &Vec<u64>)| {
            (*name, slices.iter().sum(), slices.iter().copied().max().unwrap_or(0))
        };
        inner.counts.iter().map(total).collect()
    }

    /// How often each thing happened, second by second, as long as there was anything; the last second is hardly a whole one.
    pub(crate) fn rates(&self) -> Vec<(String, Vec<(f64, f64)>)> {
        let inner = self.inner();
        let length = inner.counts.values().map(Vec::len).max().unwrap_or(0) / SLICES;
        let rate = |(name, slices): (&&'static str, &Vec<u64>)| {
            let seconds = slices.chunks(SLICES).map(|slices| slices.iter().sum()).chain(std::iter::repeat(0));
            let points = (0_u32..).zip(seconds.take(length)).map(|(second, count)| (f64::from(second), float(count)));
            ((*name).to_owned(), points.collect())
        };
        inner.counts.iter().map(rate).collect()
    }

    /// All latencies.
    pub(crate) fn latencies(&self) -> Vec<(&'static str, Latency)> {
        self.inner().spans.iter().map(|(name, spans)| (*name, spans.all.clone())).collect()
    }

    /// The 99th percentile of each, second by second, in milliseconds.
    pub(crate) fn tails(&self) -> Vec<(String, Vec<(f64, f64)>)> {
        self.inner().spans.iter().map(|(name, spans)| ((*name).to_owned(), spans.seconds.clone())).collect()
    }

    /// What was read off.
    pub(crate) fn gauges(&self) -> Vec<(String, Vec<(f64, f64)>)> {
        self.inner().gauges.clone().into_iter().collect()
    }

    /// The first things that should not have happened.
    pub(crate) fn complaints(&self) -> Vec<String> {
        self.inner().complaints.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_a_sum_and_a_peak() {
        let record = Record::new();
        record.count("a", 2);
        std::thread::sleep(Duration::from_millis(110));
        record.count("a", 5);
        assert_eq!(record.total("a"), 7);
        assert_eq!(record.totals(), [("a", 7, 5)]);
        assert_eq!(record.total("b"), 0);
    }

    #[test]
    fn rates_are_all_as_long() {
        let record = Record::new();
        record.count("a", 2);
        std::thread::sleep(Duration::from_millis(1_010));
        record.count("b", 5);
        let rates = record.rates();
        // A sleep may take longer than it was meant to.
        assert!(!rates[0].1.is_empty() && rates[0].1.len() == rates[1].1.len(), "{rates:?}");
        assert_eq!((rates[0].1[0], rates[1].1[0]), ((0.0, 2.0), (0.0, 0.0)));
    }

    #[test]
    fn latencies_are_kept_by_second_and_in_all() {
        let record = Record::new();
        record.arrived("x", 0);
        record.turn();
        record.turn();
        assert_eq!(record.tails()[0].1.len(), 1);
        assert_eq!(record.latencies()[0].1.count(), 1);
    }
}
