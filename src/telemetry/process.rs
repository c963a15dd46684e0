use std::{fmt, fs, time::Duration};

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};

use super::encoded::{counter, gauge};

/// Memory of this process, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Memory {
    pub resident: u64,
    pub mapped: u64,
}

/// Reads the memory of this process from the kernel; zeros where there is no `/proc`.
pub fn memory() -> Memory {
    const PAGE: u64 = 4096;
    let text = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let mut pages = text.split_ascii_whitespace().map(|field| field.parse().unwrap_or(0));
    let mut next = || pages.next().unwrap_or(0) * PAGE;
    let mapped = next();
    Memory { mapped, resident: next() }
}

/// The memory that this process may use, in bytes: the limit of its control group, or what the machine has. `None` where there is no `/proc`.
pub fn memory_limit() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok()?;
    let machine = machine.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let machine = machine.trim().trim_end_matches("kB").trim().parse::<u64>().ok()? * 1024;
    // Version 2 of control groups, then version 1; in a container the own group is at the root.
    let group = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let group = group.iter().filter_map(|path| fs::read_to_string(path).ok()?.trim().parse().ok());
    Some(group.fold(machine, u64::min))
}

/// For how long some task of this machine has waited for a processor, since it was started. `None` where the kernel does not tell it
/// (before Linux 4.20, or without pressure stall information).
pub fn cpu_waited() -> Option<Duration> {
    let text = fs::read_to_string("/proc/pressure/cpu").ok()?;
    let total = text.lines().find_map(|line| line.strip_prefix("some "))?.rsplit_once("total=")?.1;
    Some(Duration::from_micros(total.parse().ok()?))
}

/// The standard process metrics of Prometheus client libraries; none where there is no `/proc`.
#[derive(Debug)]
pub struct ProcessCollector;

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some(usage) = Usage::read() else { return Ok(()) };
        let memory = memory();
        counter(&mut encoder, "process_cpu_seconds", "CPU time of this process, in user and kernel mode", usage.cpu)?;
        gauge(&mut encoder, "process_resident_memory_bytes", "Resident memory of this process", memory.resident)?;
        gauge(&mut encoder, "process_virtual_memory_bytes", "Virtual memory of this process", memory.mapped)?;
        gauge(&mut encoder, "process_threads", "Threads of this process", usage.threads)?;
        gauge(
            &mut encoder,
            "process_start_time_seconds",
            "Start time of this process, in seconds since 1970",
            usage.started,
        )?;
        if let Some(open) = open_files() {
            gauge(&mut encoder, "process_open_fds", "Open files and sockets of this process", open)?;
        }
        match rlimit::getrlimit(rlimit::Resource::NOFILE) {
            Ok((most, _)) => {
                gauge(&mut encoder, "process_max_fds", "Maximum number of open files and sockets of this process", most)
            }
            Err(_) => Ok(()),
        }
    }
}

/// Values from `/proc/self/stat`.
struct Usage {
    cpu: f64,
    threads: u64,
    /// Seconds since 1970.
    started: f64,
}

impl Usage {
    fn read() -> Option<Self> {
        let booted = fs::read_to_string("/proc/stat").ok()?;
        let booted = booted.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
        Self::parse(&fs::read_to_string("/proc/self/stat").ok()?, booted)
    }

    fn parse(stat: &str, booted: f64) -> Option<Self> {
        /// Ticks per second of the times in `/proc`, on every Linux.
        const TICKS: f64 = 100.0;
        // The name of the program, in brackets, may contain brackets and spaces. The third field follows it.
        let (_, rest) = stat.rsplit_once(") ")?;
        let fields: Vec<_> = rest.split_ascii_whitespace().collect();
        let ticks = |number: usize| fields.get(number - 3).and_then(|field| field.parse::<f64>().ok());
        Some(Self {
            cpu: (ticks(14)? + ticks(15)?) / TICKS,
            threads: fields.get(20 - 3)?.parse().ok()?,
            started: booted + ticks(22)? / TICKS,
        })
    }
}

/// The number of open files. Since Linux 6.2 it is the size of the directory; before, they have to be counted one by one.
fn open_files() -> Option<u64> {
    const DIRECTORY: &str = "/proc/self/fd";
    let size = fs::metadata(DIRECTORY).ok()?.len();
    if size > 0 { Some(size) } else { Some(fs::read_dir(DIRECTORY).ok()?.count() as u64) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_name_may_contain_brackets() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 9 0 4200 0 0";
        let usage = Usage::parse(stat, 1_000.0).unwrap();
        assert!((usage.cpu - 3.0).abs() < 1e-9 && usage.threads == 9 && (usage.started - 1_042.0).abs() < 1e-9);
        assert!(Usage::parse("7 (a) S 1", 0.0).is_none());
    }

    #[test]
    fn open_files_are_counted() {
        let Some(before) = open_files() else { return };
        let files: Vec<_> = (0..100).map(|_| fs::File::open("/proc/self/stat").unwrap()).collect();
        // Other tests open and close files at the same time.
        assert!(open_files().unwrap() >= before + 50);
        drop(files);
    }
}
