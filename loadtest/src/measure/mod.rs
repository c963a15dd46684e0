//! What is measured: CPU and memory of processes, latency, deliveries, commands of Redis, and the ledger.

mod cpu;
mod deliveries;
mod latency;
mod ledger;
mod procfs;
mod redis_info;
mod redis_monitor;
mod sampler;

pub(crate) use cpu::{CpuMeter, ProcessGroup, Spent, compare_rounds, report_cpu};
pub(crate) use deliveries::{Faults, Receipts, VersionLog};
pub(crate) use latency::Latency;
pub(crate) use ledger::{Audit, Done, audit};
pub(crate) use procfs::{Cpu, Process};
pub(crate) use redis_info::RedisInfo;
pub(crate) use redis_monitor::{Commands, RedisMonitor};
pub(crate) use sampler::Sampler;
