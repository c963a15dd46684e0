//! How costs change as something grows. Each point starts its own servers.

use std::{process::ExitCode, time::Duration};

use anyhow::{Context, Result, ensure};
use clap::Args;

use super::{
    close,
    control::{self, Rounds},
    growth_plan::{Point, What},
    idle, limit, zero,
};
use crate::{
    client::ClientOptions,
    load::{CORRECT, Message, Plan},
    measure::{Audit, Done},
    progress::Progress,
    report::{Report, ReportOptions, Shape, Sheet},
    servers::{DeploymentOptions, Launcher},
    units::slope,
    workers::WorkerOptions,
};

/// The figures of idle sockets in the table.
const IDLE: [&str; 6] = [
    "socket_rss_bytes",
    "socket_redis_rss_bytes",
    "idle_cpu_percent",
    "idle_redis_cpu_percent",
    "joins_per_second",
    "rss_with_mb",
];

/// Options of `loadtest growth`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// What grows
    #[arg(long, value_enum)]
    pub(super) what: What,
    /// Its sizes, for example 100,1000,10000 [default: depends on what grows]
    #[arg(long, value_name = "N,...", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) points: Vec<u32>,
    /// Deliveries a second in all rooms together
    #[arg(long, value_name = "N", default_value_t = 4_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(super) deliveries: u32,
    /// Rooms, unless they grow
    #[arg(long, value_name = "N", default_value_t = 250, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    pub(super) rooms: u32,
    /// Members of each room, unless they grow [default: 4, or 2 if the rooms grow]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=5_000))]
    pub(super) members: Option<u32>,
    /// Seconds of each round, or to hold idle sockets
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(2..=600))]
    seconds: u32,
    /// Rounds of each point
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    #[command(flatten)]
    deployment: DeploymentOptions,
    #[command(flatten)]
    workers: WorkerOptions,
    #[command(flatten)]
    clients: ClientOptions,
    #[command(flatten)]
    report: ReportOptions,
}

/// `loadtest growth`.
pub(crate) async fn run(options: &Options, progress: &Progress) -> Result<ExitCode> {
    let what = options.what.name();
    let points = options.points();
    let is_idle = options.what == What::Sockets;
    for point in points.iter().filter(|_| !is_idle) {
        let name = &point.name;
        ensure!(
            !point.is_too_fast(),
            "with {what} {name} a sender would send more than it may: use fewer --deliveries"
        );
    }
    let mut report = Report::new(&format!("growth of {what}"));
    let mut sheet = Sheet::new(what, Shape::Points);
    let (mut faults, mut ledger) = (Sheet::new("all points", Shape::Single), false);
    for (number, point) in points.iter().enumerate() {
        progress.step(&format!("point {} of {}: {what} {}", number + 1, points.len(), point.name));
        let own = measure(options, point, &mut report, progress).await;
        let own = own.with_context(|| format!("with {what} {}", point.name))?;
        for (figure, value) in own.column("") {
            sheet.set(&point.name, &figure, value);
            if CORRECT.contains(&figure.as_str()) || figure == "idle_errors" || figure.starts_with("ledger_") {
                faults.set("", &figure, faults.get("", &figure).unwrap_or(0.0) + value);
                ledger |= figure.starts_with("ledger_");
            }
        }
    }
    if is_idle {
        let memory = |point: &Point| {
            let get = |figure| sheet.get(&point.name, figure);
            Some((get("sockets")?, (get("rss_with_mb")? - get("rss_before_mb")?) * 1_048_576.0))
        };
        if let Some(bytes) = slope(&points.iter().filter_map(memory).collect::<Vec<_>>()) {
            faults.set("", "one_more_socket_rss_bytes", bytes);
        }
    }
    let mut rules = if is_idle { zero("", &["idle_errors"]) } else { zero("", &CORRECT) };
    if ledger {
        rules.extend(Audit::RULES.iter().map(|rule| rule.parse()).collect::<Result<Vec<_>>>()?);
    }
    let columns: &[&str] = if is_idle { &IDLE } else { &limit::COLUMNS };
    report.sheets = vec![sheet.only(columns), faults];
    report.finish(&rules, &options.report, progress)
}

/// Measures a point on servers of its own.
async fn measure(options: &Options, point: &Point, report: &mut Report, progress: &Progress) -> Result<Sheet> {
    let Point { rooms, members, per_second, .. } = *point;
    let servers = point.servers.options(options.deployment.clone()).for_rooms_of(members);
    let deployment = Launcher::open(&servers, point.servers.nodes(), 1).await?;
    let plan = Plan::new(deployment.targets(), deployment.peer(), rooms, members, &options.clients);
    let mut sheet = Sheet::new("", Shape::Single);
    let done = if options.what == What::Sockets {
        let mut workers = options.workers.start(plan).await?;
        let hold = Duration::from_secs(options.seconds.into());
        let idle = idle::measure(&mut workers, &deployment.groups(), hold, progress).await?;
        idle.report(&mut sheet, "");
        report.errors.extend(idle.first_error);
        vec![Done::times("USER_JOINED", idle.sockets)]
    } else {
        let rounds = Rounds { per_second, seconds: options.seconds, count: options.rounds };
        let workers = options.workers.start(plan.sending(Message::Change { bytes: 0 }, 1)).await?;
        let run = control::play(&deployment, workers, rounds, progress).await?;
        run.report(&mut sheet, "", "delivery");
        report.errors.extend(run.outcome().first_error.clone());
        control::done(&run).to_vec()
    };
    close(deployment, &done, &mut sheet, report).await?;
    Ok(sheet)
}
