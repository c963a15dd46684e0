//! CPU time and memory of a process, from /proc.

use std::{fs, time::Duration};

use anyhow::{Context, Result};

#[derive(Debug, Clone, Copy)]
pub(crate) struct Process {
    pid: u32,
}

impl Process {
    /// Fails if there is no process of that id.
    pub(crate) fn new(pid: u32) -> Result<Self> {
        let process = Self { pid };
        process.own_cpu()?;
        Ok(process)
    }

    /// CPU time so far, with that of the children: PostgreSQL has one for each connection. The kernel counts ticks of 10 ms.
    pub(crate) fn cpu(self) -> Result<Duration> {
        // A child that has ended meanwhile is in the figures of its parent.
        let children = self.children().filter_map(|child| child.own_cpu().ok());
        Ok(self.own_cpu()? + children.sum::<Duration>())
    }

    fn own_cpu(self) -> Result<Duration> {
        let stat = self.read("stat")?;
        let ticks = rustix::param::clock_ticks_per_second();
        parse_cpu(&stat, ticks).with_context(|| format!("cannot parse /proc/{}/stat", self.pid))
    }

    fn children(self) -> impl Iterator<Item = Self> {
        // Some kernels do not list children; then only those that have ended are counted.
        let list = self.read(&format!("task/{}/children", self.pid)).unwrap_or_default();
        let pids: Vec<u32> = list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect();
        pids.into_iter().map(|pid| Self { pid })
    }

    /// Resident memory in bytes, without that of the children.
    pub(crate) fn rss(self) -> Result<u64> {
        let rollup = self.read("smaps_rollup")?;
        parse_rss(&rollup).with_context(|| format!("cannot parse /proc/{}/smaps_rollup", self.pid))
    }

    fn read(self, file: &str) -> Result<String> {
        let path = format!("/proc/{}/{file}", self.pid);
        fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
    }
}

/// Adds `utime` and `stime`, fields 14 and 15, and those of ended children, 16 and 17. The name in field 2 may contain anything but
/// ends at the last `)`.
fn parse_cpu(stat: &str, ticks_per_second: u64) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks: Vec<u64> = fields.split_ascii_whitespace().skip(11).take(4).filter_map(|it| it.parse().ok()).collect();
    (ticks.len() == 4)
        .then(|| Duration::from_nanos(ticks.iter().sum::<u64>() * 1_000_000_000 / ticks_per_second.max(1)))
}

fn parse_rss(rollup: &str) -> Option<u64> {
    let kilobytes = rollup.lines().find_map(|line| line.strip_prefix("Rss:"))?;
    Some(kilobytes.split_ascii_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_of_a_process_with_a_parenthesis_in_its_name() {
        let stat = "42 (a) b (c)) S 1 42 42 0 -1 4194560 100 0 0 0 140 30 10 20 20 0 3 0 1";
        assert_eq!(parse_cpu(stat, 100), Some(Duration::from_secs(2)));
        assert!(parse_cpu("42 (a) S 1", 100).is_none());
    }

    #[test]
    fn memory_is_the_resident_one() {
        assert_eq!(parse_rss("55-66 ---p 0 00:00 0 [rollup]\nRss:  100 kB\nPss:   90 kB\n"), Some(102_400));
        assert_eq!(parse_rss("Pss: 1 kB\n"), None);
        assert!(Process::new(std::process::id()).unwrap().rss().unwrap() > 100_000);
    }
}
