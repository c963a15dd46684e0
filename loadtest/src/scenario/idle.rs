//! Sockets that are joined and do nothing: the cost of one, and whether memory is given back.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use clap::Args;
use tokio::time::sleep;

use super::{close, zero};
use crate::{
    client::{ClientOptions, Peer, Target},
    http,
    load::{MEMBERS, Plan},
    measure::{Done, ProcessGroup},
    progress::Progress,
    report::{Report, ReportOptions, Shape, Sheet},
    servers::{DeploymentOptions, Launcher},
    units::{float, grouped, per},
    workers::{WorkerOptions, Workers},
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
    /// Members of each room
    #[arg(long, value_name = "N", default_value_t = MEMBERS, value_parser = clap::value_parser!(u32).range(2..=5_000))]
    members: u32,
    /// Seconds to hold the sockets: they settle in the first half, and the second half is measured
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(2..=3_600))]
    seconds: u32,
    /// Seconds from the break of all connections to the next look at the memory
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    rest: u32,
    #[command(flatten)]
    deployment: DeploymentOptions,
    #[command(flatten)]
    workers: WorkerOptions,
    #[command(flatten)]
    clients: ClientOptions,
    #[command(flatten)]
    report: ReportOptions,
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
    /// CPU at rest, in percent of a core.
    cpu_percent: f64,
}

impl GroupCost {
    /// Bytes for each socket at a time when the group had so many bytes.
    fn per_socket(self, bytes: u64, sockets: u64) -> f64 {
        per(float(bytes) - float(self.before), sockets)
    }
}

pub(crate) async fn run(options: &Options, progress: &Progress) -> Result<ExitCode> {
    let rooms = (options.sockets / options.members).max(1);
    progress.step("idle: starting servers");
    let servers = options.deployment.clone().for_rooms_of(options.members);
    let deployment = Launcher::open(&servers, 1, 1).await?;
    let groups = deployment.groups();
    let plan = Plan::new(deployment.targets(), deployment.peer(), rooms, options.members, &options.clients);
    let mut workers = options.workers.start(plan).await?;
    let hold = Duration::from_secs(options.seconds.into());

    let (mut report, mut sheet) = (Report::new("idle"), Sheet::new("idle", Shape::Single));
    progress.step(&format!("joining {} sockets", grouped(workers.sockets().into())));
    let idle = measure(&mut workers, &groups, hold, progress).await?;
    sheet.set("", "members", f64::from(options.members));
    idle.report(&mut sheet, "");
    report.errors.extend(idle.first_error.clone());

    progress.step("breaking all connections");
    let begun = Instant::now();
    workers.disconnect(progress).await?;
    let mut rules = zero("", &["idle_errors", "again_errors"]);
    if deployment.peer() == Peer::Tandem && !groups.is_empty() {
        let left = until_gone(deployment.targets()).await?;
        sheet.set("", "break_noticed_ms", begun.elapsed().as_secs_f64() * 1e3);
        sheet.set("", "ghosts", left);
    }
    sleep(Duration::from_secs(options.rest.into())).await;
    let left = nodes(&groups).map(ProcessGroup::rss).transpose()?;

    progress.step("joining all sockets again");
    let joins_per_second = workers.join(progress).await?;
    sleep(hold / 2).await;
    let again = nodes(&groups).map(ProcessGroup::rss).transpose()?;
    let (errors, first) = workers.errors(progress).await?;
    sheet.set("", "again_joins_per_second", joins_per_second);
    sheet.set("", "again_errors", float(errors));
    report.errors.extend(first);
    if let (Some(left), Some(again)) = (left, again) {
        idle.report_break(left, again, &mut sheet);
    }
    drop(workers);
    progress.step("idle: stopping servers");
    let done = [Done::times("USER_JOINED", 2 * idle.sockets)];
    rules.extend(close(deployment, &done, &mut sheet, &mut report).await?);
    report.sheets.push(sheet);
    report.finish(&rules, &options.report, progress)
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
            sheet.set(column, &format!("idle_{prefix}cpu_percent"), group.cpu_percent);
            sheet.set(column, &format!("{prefix}rss_before_mb"), float(group.before) / MEGABYTE);
            sheet.set(column, &format!("{prefix}rss_with_mb"), float(group.with) / MEGABYTE);
        }
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

fn nodes(groups: &[ProcessGroup]) -> Option<&ProcessGroup> {
    groups.iter().find(|group| group.name() == "nodes")
}

/// Joins the sockets, lets them settle for half the time, and measures the other half.
pub(crate) async fn measure(
    workers: &mut Workers,
    groups: &[ProcessGroup],
    hold: Duration,
    progress: &Progress,
) -> Result<Idle> {
    let before = groups.iter().map(ProcessGroup::rss).collect::<Result<Vec<_>>>()?;
    let joins_per_second = workers.join(progress).await?;
    progress.detail("all sockets joined, settling");
    sleep(hold / 2).await;
    let (begun, at_rest) = (Instant::now(), groups.iter().map(ProcessGroup::cpu).collect::<Result<Vec<_>>>()?);
    sleep(hold / 2).await;
    let seconds = begun.elapsed().as_secs_f64();
    let mut costs = Vec::new();
    for ((group, before), cpu) in groups.iter().zip(before).zip(at_rest) {
        let cpu_percent = (group.cpu()? - cpu).total().as_secs_f64() / seconds * 100.0;
        costs.push(GroupCost { name: group.name(), before, with: group.rss()?, cpu_percent });
    }
    let (errors, first_error) = workers.errors(progress).await?;
    Ok(Idle { sockets: workers.sockets().into(), errors, first_error, joins_per_second, groups: costs })
}

/// Waits until the nodes know that all connections are gone; returns how many they still count.
async fn until_gone(targets: &[Target]) -> Result<f64> {
    let begun = Instant::now();
    loop {
        let mut open = 0.0;
        for target in targets {
            let (_, text) = http::get(target.address(), "/metrics").await?;
            let metric = "tandem_connections";
            open += http::metric(&text, metric).with_context(|| format!("{target} has no {metric}"))?;
        }
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
        let group = |name, before, with| GroupCost { name, before, with, cpu_percent: 1.5 };
        let groups = vec![group("nodes", 1_000, 9_000), group("redis", 500, 100)];
        let idle = Idle { sockets: 4, errors: 0, first_error: None, joins_per_second: 2.0, groups };
        let mut sheet = Sheet::new("", Shape::Single);
        idle.report(&mut sheet, "");
        idle.report_break(2_600, 9_000, &mut sheet);
        let figure = |name| sheet.get("", name).map(|value| value.to_string());
        assert_eq!(figure("socket_rss_bytes").as_deref(), Some("2000"));
        assert_eq!(figure("socket_redis_rss_bytes").as_deref(), Some("-100"));
        assert_eq!(figure("rss_given_back_percent").as_deref(), Some("80"));
    }
}
