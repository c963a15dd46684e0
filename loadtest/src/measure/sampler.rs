use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::{task::JoinHandle, time::sleep};

use super::{Cpu, ProcessGroup};
use crate::{
    report::Sheet,
    units::{float, median, per, slope},
};

const INTERVAL: Duration = Duration::from_secs(1);

const MEGABYTE: f64 = 1_048_576.0;

/// CPU in percent of a core, and memory in megabytes with the seconds since the start.
#[derive(Debug, Default)]
struct Series {
    cpu: Vec<f64>,
    rss: Vec<(f64, f64)>,
}

/// Samples CPU and memory of the servers in the background.
#[derive(Debug)]
pub(crate) struct Sampler {
    series: Arc<Mutex<BTreeMap<&'static str, Series>>>,
    task: JoinHandle<()>,
}

impl Sampler {
    pub(crate) fn start(groups: Arc<Mutex<Vec<ProcessGroup>>>) -> Self {
        let series = Arc::new(Mutex::new(BTreeMap::new()));
        let task = tokio::spawn(sample(groups, Arc::clone(&series)));
        Self { series, task }
    }

    /// Reports the CPU of all servers, their memory at the end, and how the memory of each group grew in the second half.
    pub(crate) fn report(&self, sheet: &mut Sheet) {
        let series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut cpu, mut rss) = (0.0, 0.0);
        for (name, Series { cpu: percents, rss: megabytes }) in series.iter() {
            cpu += median(percents.iter().copied()).unwrap_or(0.0);
            rss += megabytes.last().map_or(0.0, |(_, megabytes)| *megabytes);
            let prefix = if *name == "nodes" { String::new() } else { format!("{name}_") };
            if let Some((per_hour, percent)) = growth(megabytes) {
                sheet.set("", &format!("{prefix}rss_mb_per_hour"), per_hour);
                sheet.set("", &format!("{prefix}rss_growth_percent"), percent);
            }
        }
        if !series.is_empty() {
            sheet.set("", "cpu_percent", cpu);
            sheet.set("", "rss_mb", rss);
        }
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn sample(groups: Arc<Mutex<Vec<ProcessGroup>>>, series: Arc<Mutex<BTreeMap<&'static str, Series>>>) {
    let begun = Instant::now();
    let mut before: BTreeMap<&'static str, (Cpu, Instant)> = BTreeMap::new();
    loop {
        sleep(INTERVAL).await;
        let groups = groups.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut series = series.lock().unwrap_or_else(PoisonError::into_inner);
        for group in groups {
            // A server that is just being restarted has no figures.
            let (Ok(cpu), Ok(rss)) = (group.cpu(), group.rss()) else { continue };
            let (now, own) = (Instant::now(), series.entry(group.name()).or_default());
            if let Some((was, at)) = before.insert(group.name(), (cpu, now)) {
                own.cpu.push((cpu - was).total().as_secs_f64() / (now - at).as_secs_f64() * 100.0);
            }
            own.rss.push((begun.elapsed().as_secs_f64(), float(rss) / MEGABYTE));
        }
    }
}

/// Fits a line through the second half, so that neither the start nor a single moment counts. Returns its slope for an hour, and its
/// growth from beginning to end in percent.
fn growth(points: &[(f64, f64)]) -> Option<(f64, f64)> {
    let half = points.get(points.len() / 2..)?;
    let slope = slope(half)?;
    let span = half.last()?.0 - half.first()?.0;
    let mean = per(half.iter().map(|(_, value)| value).sum(), u64::try_from(half.len()).ok()?);
    let first = mean - slope * span / 2.0;
    (first > 0.0).then(|| (slope * 3_600.0, slope * span / first * 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_keeps_growing_is_growth() {
        let points =
            |value: fn(f64) -> f64| (0..100).map(|at| (f64::from(at), value(f64::from(at)))).collect::<Vec<_>>();
        // Everything grows up to the middle, and nothing after it, but for a moment.
        let (per_hour, percent) = growth(&points(|at| if at < 50.0 { at } else { 50.0 })).unwrap();
        assert!(per_hour.abs() < 1e-6 && percent.abs() < 1e-6);
        let (_, percent) = growth(&points(|at| if (at - 99.0).abs() < 0.1 { 200.0 } else { 100.0 })).unwrap();
        assert!(percent < 12.0, "{percent}");
        // From 60 to 69.8 in the second half.
        let (per_hour, percent) = growth(&points(|at| 50.0 + at / 5.0)).unwrap();
        assert!((per_hour - 720.0).abs() < 1e-6 && (percent - 9.8 / 60.0 * 100.0).abs() < 1e-6, "{per_hour} {percent}");
        assert!(growth(&[]).is_none() && growth(&[(0.0, 1.0)]).is_none());
    }
}
