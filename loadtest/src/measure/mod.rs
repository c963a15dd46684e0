//! What is measured: CPU and memory of processes, latency, deliveries, memory of the kernel, counters of Redis, and the ledger.

mod cpu;
mod deliveries;
mod kernel;
mod latency;
mod ledger;
mod procfs;
mod redis_info;

pub(crate) use cpu::{CpuMeter, ProcessGroup, Spent, compare_rounds, report_cpu};
pub(crate) use deliveries::{Faults, Receipts, VersionLog};
pub(crate) use kernel::KernelMemory;
pub(crate) use latency::Latency;
pub(crate) use ledger::{Audit, Done, audit};
pub(crate) use procfs::Process;
pub(crate) use redis_info::RedisMeter;
