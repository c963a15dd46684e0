//! Sockets that are joined and do nothing: the cost of one, and whether memory is given back.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use clap::Args;
use tokio::time::sleep;

use super::{ServedOptions, close, zero};
use crate::{
    client::Peer,
    measure::{CpuMeter, ProcessGroup},
    progress::step,
    report::{Report, Sheet},
    servers::Deployment,
    units::{float, grouped, per},
    workers::Workers,
};

/// Limit for the nodes to notice that all connections are gone.
const GONE: Duration = Duration::from_mins(1);

const POLL: Duration = Duration::from_millis(50);

const MEGABYTE: f64 = 1_048_576.0;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Sockets, in rooms of --members
    #[arg(long, value_name = "N", default_value_t = 8_000, value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    sockets: u32,
    /// Seconds to hold the sockets: they settle in the first half, and the second half is measured
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(2..=3_600))]
    seconds: u32,
    /// Seconds from the break of all connections to the next look at the memory
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    rest: u32,
    #[command(flatten)]
    served: ServedOptions,
}

#[derive(Debug)]
pub(crate) struct Idle {
    pub(crate) sockets: u64,
    /// Sockets that were closed or got an error.
    errors: u64,
    pub(crate) first_error: Option<String>,
    joins_per_second: f64,
    /// The cost in each group of processes.
    groups: Vec<GroupCost>,
}

/// What idle sockets cost in a group of processes.
#[derive(Debug, Clone, Copy, PartialEq)]
struct GroupCost {
    name: &'static str,
    /// Resident bytes before the first socket.
    before: u64,
    /// Resident bytes with all sockets.
    with: u64,
    /// CPU of a join, in microseconds.
    join_cpu_micros: f64,
    /// CPU at rest, in percent of a core.
    cpu_percent: f64,
}

impl GroupCost {
    /// Bytes for each socket at a time when the group had so many bytes.
    fn per_socket(self, bytes: u64, sockets: u64) -> f64 {
        per(float(bytes) - float(self.before), sockets)
    }
}

pub(crate) async fn run(options: &Options) -> Result<ExitCode> {
    let served = &options.served;
    let rooms = (options.sockets / served.members).max(1);
    step("idle: starting servers");
    let deployment = served.start().await?;
    let groups = deployment.groups();
    let mut workers = Workers::start(served.plan(&deployment, rooms), served.workers).await?;
    let hold = Duration::from_secs(options.seconds.into());

    let (mut report, mut sheet) = (Report::new("idle"), Sheet::new("idle"));
    step(&format!("joining {} sockets", grouped(workers.sockets().into())));
    let idle = measure(&mut workers, &groups, hold).await?;
    sheet.set("", "members", f64::from(served.members));
    idle.report(&mut sheet, "");
    report.errors.extend(idle.first_error.clone());

    step("breaking all connections");
    let begun = Instant::now();
    workers.disconnect().await?;
    let mut rules = zero("", &["idle_errors", "again_errors"]);
    if deployment.peer() == Peer::Tandem {
        let left = until_gone(&deployment).await?;
        sheet.set("", "break_noticed_ms", begun.elapsed().as_secs_f64() * 1e3);
        sheet.set("", "ghosts", left);
    }
    sleep(Duration::from_secs(options.rest.into())).await;
    let nodes = groups.first().context("there are no nodes")?;
    let left = nodes.rss()?;

    step("joining all sockets again");
    let joins_per_second = workers.join().await?;
    sleep(hold / 2).await;
    let again = nodes.rss()?;
    let (errors, first) = workers.errors().await?;
    sheet.set("", "again_joins_per_second", joins_per_second);
    sheet.set("", "again_errors", float(errors));
    report.errors.extend(first);
    idle.report_break(left, again, &mut sheet);
    drop(workers);
    step("idle: stopping servers");
    let done = [("USER_JOINED", 2 * idle.sockets)];
    rules.extend(close(deployment, &done, (&mut sheet, ""), &mut report).await?);
    report.sheets.push(sheet);
    report.finish(&rules, &served.report)
}

impl Idle {
    pub(crate) fn report(&self, sheet: &mut Sheet, column: &str) {
        sheet.set(column, "sockets", float(self.sockets));
        sheet.set(column, "idle_errors", float(self.errors));
        sheet.set(column, "joins_per_second", self.joins_per_second);
        for group in &self.groups {
            // The nodes hold the sockets, so their figures have no prefix.
            let prefix = if group.name == "nodes" { String::new() } else { format!("{}_", group.name) };
            let per_socket = group.per_socket(group.with, self.sockets);
            sheet.set(column, &format!("socket_{prefix}rss_bytes"), per_socket);
            sheet.set(column, &format!("join_{prefix}cpu_us"), group.join_cpu_micros);
            sheet.set(column, &format!("idle_{prefix}cpu_percent"), group.cpu_percent);
            sheet.set(column, &format!("{prefix}rss_before_mb"), float(group.before) / MEGABYTE);
            sheet.set(column, &format!("{prefix}rss_with_mb"), float(group.with) / MEGABYTE);
        }
    }

    /// CPU at rest of some groups together, in percent of a core.
    pub(crate) fn cpu_percent(&self, groups: &[&str]) -> f64 {
        self.groups.iter().filter(|group| groups.contains(&group.name)).map(|group| group.cpu_percent).sum()
    }

    /// Reports the memory of the nodes after all connections broke, and with all sockets joined again.
    fn report_break(&self, left: u64, again: u64, sheet: &mut Sheet) {
        let Some(nodes) = self.groups.iter().find(|group| group.name == "nodes") else { return };
        let kept = float(left) - float(nodes.before);
        let grown = float(nodes.with) - float(nodes.before);
        sheet.set("", "rss_left_mb", float(left) / MEGABYTE);
        sheet.set("", "rss_again_mb", float(again) / MEGABYTE);
        sheet.set("", "rss_given_back_percent", (1.0 - kept / grown.max(1.0)) * 100.0);
        sheet.set("", "rss_again_growth_percent", (float(again) / float(nodes.with).max(1.0) - 1.0) * 100.0);
        sheet.set("", "again_socket_rss_bytes", nodes.per_socket(again, self.sockets));
    }
}

/// Joins the sockets, lets them settle for half the time, and measures the other half.
pub(crate) async fn measure(workers: &mut Workers, groups: &[ProcessGroup], hold: Duration) -> Result<Idle> {
    let before = groups.iter().map(ProcessGroup::rss).collect::<Result<Vec<_>>>()?;
    let meter = CpuMeter::start(groups)?;
    let joins_per_second = workers.join().await?;
    let joining = meter.stop(workers.sockets().into(), 1.0)?;
    sleep(hold / 2).await;
    let (begun, at_rest) = (Instant::now(), groups.iter().map(ProcessGroup::cpu).collect::<Result<Vec<_>>>()?);
    sleep(hold / 2).await;
    let seconds = begun.elapsed().as_secs_f64();
    let mut costs = Vec::new();
    for ((group, before), cpu) in groups.iter().zip(before).zip(at_rest) {
        let cpu_percent = group.cpu()?.saturating_sub(cpu).as_secs_f64() / seconds * 100.0;
        let (name, with) = (group.name(), group.rss()?);
        let join_cpu_micros = joining.group_micros(name).unwrap_or_default();
        costs.push(GroupCost { name, before, with, join_cpu_micros, cpu_percent });
    }
    let (errors, first_error) = workers.errors().await?;
    Ok(Idle { sockets: workers.sockets().into(), errors, first_error, joins_per_second, groups: costs })
}

/// Waits until the nodes know that all connections are gone; returns how many they still count.
async fn until_gone(deployment: &Deployment) -> Result<f64> {
    let begun = Instant::now();
    loop {
        let open = deployment.metric("tandem_connections").await?;
        if open < 1.0 || begun.elapsed() > GONE {
            return Ok(open);
        }
        sleep(POLL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_shared_out_among_the_sockets() {
        let group = |name, before, with| GroupCost { name, before, with, join_cpu_micros: 9.0, cpu_percent: 1.5 };
        let groups = vec![group("nodes", 1_000, 9_000), group("redis", 500, 100)];
        let idle = Idle { sockets: 4, errors: 0, first_error: None, joins_per_second: 2.0, groups };
        let mut sheet = Sheet::new("");
        idle.report(&mut sheet, "");
        idle.report_break(2_600, 9_000, &mut sheet);
        let figure = |name| sheet.get("", name).map(|value| value.to_string());
        assert_eq!(figure("socket_rss_bytes").as_deref(), Some("2000"));
        assert_eq!(figure("socket_redis_rss_bytes").as_deref(), Some("-100"));
        assert!((idle.cpu_percent(&["nodes", "redis"]) - 3.0).abs() < 1e-9);
        assert_eq!(figure("rss_given_back_percent").as_deref(), Some("80"));
    }
}
