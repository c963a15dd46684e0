//! What /proc says about a process.

use std::{
    fs,
    iter::Sum,
    ops::{Add, Sub},
    time::Duration,
};

use anyhow::{Context, Result};
use serde::Serialize;

/// Bytes of memory of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Memory {
    /// Resident, shared pages in full.
    #[serde(rename = "rss_bytes")]
    pub(crate) rss: u64,
    /// Resident, shared pages by their share.
    #[serde(rename = "pss_bytes")]
    pub(crate) pss: u64,
    /// Resident and nobody else's.
    #[serde(rename = "private_bytes")]
    pub(crate) private: u64,
}

impl Sum for Memory {
    fn sum<I: Iterator<Item = Self>>(each: I) -> Self {
        each.fold(Self { rss: 0, pss: 0, private: 0 }, |sum, it| Self {
            rss: sum.rss + it.rss,
            pss: sum.pss + it.pss,
            private: sum.private + it.private,
        })
    }
}

/// CPU time of a process with all its threads.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cpu {
    /// In the program.
    pub(crate) user: Duration,
    /// In the kernel on its behalf.
    pub(crate) system: Duration,
}

impl Cpu {
    /// Both together.
    pub(crate) fn total(self) -> Duration {
        self.user + self.system
    }
}

impl Sub for Cpu {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self { user: self.user.saturating_sub(earlier.user), system: self.system.saturating_sub(earlier.system) }
    }
}

impl Add for Cpu {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { user: self.user + other.user, system: self.system + other.system }
    }
}

impl Sum for Cpu {
    fn sum<I: Iterator<Item = Self>>(each: I) -> Self {
        each.fold(Self::default(), Add::add)
    }
}

/// A window into one process and its children.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Probe {
    pid: u32,
}

impl Probe {
    /// Looks at a process; fails if there is none under that number.
    pub(crate) fn new(pid: u32) -> Result<Self> {
        let probe = Self { pid };
        probe.cpu()?;
        Ok(probe)
    }

    /// CPU time so far, with that of its children: PostgreSQL has one for each connection. The kernel counts it in ticks of 10 ms.
    pub(crate) fn cpu(self) -> Result<Cpu> {
        let own = self.own_cpu()?;
        // A child that has ended meanwhile is in the figures of its parent.
        let children = self.children().filter_map(|child| child.own_cpu().ok());
        Ok(own + children.sum())
    }

    fn own_cpu(self) -> Result<Cpu> {
        let stat = self.read("stat")?;
        let ticks = rustix::param::clock_ticks_per_second();
        parse_cpu(&stat, ticks).with_context(|| format!("odd /proc/{}/stat", self.pid))
    }

    fn children(self) -> impl Iterator<Item = Self> {
        // Not every kernel lists them; then only those that have ended are counted.
        let list = self.read(&format!("task/{}/children", self.pid)).unwrap_or_default();
        let pids: Vec<u32> = list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect();
        pids.into_iter().map(|pid| Self { pid })
    }

    /// Memory now, without that of its children.
    pub(crate) fn memory(self) -> Result<Memory> {
        let rollup = self.read("smaps_rollup")?;
        parse_memory(&rollup).with_context(|| format!("odd /proc/{}/smaps_rollup", self.pid))
    }

    fn read(self, file: &str) -> Result<String> {
        let path = format!("/proc/{}/{file}", self.pid);
        fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
    }
}

/// `utime` and `stime`, fields 14 and 15, and those of children that have ended, 16 and 17. The name in field 2 may hold anything but
/// ends at the last `)`.
fn parse_cpu(stat: &str, ticks_per_second: u64) -> Option<Cpu> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let mut span = || {
        let ticks: u64 = fields.next()?.parse().ok()?;
        Some(Duration::from_nanos(ticks * 1_000_000_000 / ticks_per_second.max(1)))
    };
    let own = Cpu { user: span()?, system: span()? };
    Some(own + Cpu { user: span()?, system: span()? })
}

fn parse_memory(rollup: &str) -> Option<Memory> {
    let sum = |names: &[&str]| {
        let mut total = None;
        for line in rollup.lines() {
            let Some((name, rest)) = line.split_once(':') else {
                continue;
            };
            if names.contains(&name) {
                let kilobytes: u64 = rest.split_ascii_whitespace().next()?.parse().ok()?;
                total = Some(total.unwrap_or(0) + kilobytes * 1024);
            }
        }
        total
    };
    Some(Memory { rss: sum(&["Rss"])?, pss: sum(&["Pss"])?, private: sum(&["Private_Clean", "Private_Dirty"])? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_of_a_process_with_a_nasty_name() {
        let stat = "42 (a) b (c)) S 1 42 42 0 -1 4194560 100 0 0 0 140 30 10 20 20 0 3 0 1";
        let cpu = parse_cpu(stat, 100).unwrap();
        assert_eq!(cpu.user, Duration::from_millis(1500));
        assert_eq!(cpu.system, Duration::from_millis(500));
        assert_eq!(cpu.total(), Duration::from_secs(2));
        assert!(parse_cpu("42 (a) S 1", 100).is_none());
    }

    #[test]
    fn memory_adds_clean_and_dirty() {
        let rollup = "55-66 ---p 00000000 00:00 0 [rollup]\nRss:  100 kB\nPss:   90 kB\n\
                      Pss_Anon: 7 kB\nPrivate_Clean:  10 kB\nPrivate_Dirty:  70 kB\n";
        let memory = parse_memory(rollup).unwrap();
        assert_eq!(memory, Memory { rss: 102_400, pss: 92_160, private: 81_920 });
        assert!(parse_memory("Rss: 1 kB\n").is_none());
    }

    #[test]
    fn this_process_has_figures() {
        let probe = Probe::new(std::process::id()).unwrap();
        assert!(probe.memory().unwrap().rss > 100_000);
    }
}
