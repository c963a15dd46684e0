//! Members of rooms play and pause: the cost of a delivery, its latency, and whether all arrive.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use super::{LoadOptions, SenderOptions, close, zero};
use crate::{
    client::ClientOptions,
    load::{CORRECT, LoadRun, MEMBERS, Plan},
    measure::Done,
    progress::Progress,
    report::{Report, ReportOptions, Shape, Sheet},
    servers::{Deployment, DeploymentOptions, Launcher},
    units::{float, grouped},
    workers::{WorkerOptions, Workers},
};

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    load: LoadOptions,
    /// Members of each room
    #[arg(long, value_name = "N", default_value_t = MEMBERS, value_parser = clap::value_parser!(u32).range(2..=5_000))]
    members: u32,
    /// Changes a second in all rooms together, instead of --rate
    #[arg(long, value_name = "N", conflicts_with = "rate", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    total_rate: Option<u64>,
    #[command(flatten)]
    senders: SenderOptions,
    #[command(flatten)]
    deployment: DeploymentOptions,
    #[command(flatten)]
    workers: WorkerOptions,
    #[command(flatten)]
    clients: ClientOptions,
    #[command(flatten)]
    report: ReportOptions,
}

pub(crate) async fn run(options: &Options, progress: &Progress) -> Result<ExitCode> {
    let Options { load, members, senders, .. } = options;
    let per_second = options.total_rate.unwrap_or(load.per_second());
    senders.check(load.rooms, *members, per_second)?;
    progress.step("control: starting servers");
    let servers = options.deployment.clone().for_rooms_of(*members);
    let deployment = Launcher::open(&servers, 1, 1).await?;
    let plan = Plan::new(deployment.targets(), deployment.peer(), load.rooms, *members, &options.clients);
    let workers = options.workers.start(plan.sending(senders.message(), senders.senders)).await?;
    let rounds = Rounds { per_second, seconds: load.seconds, count: load.rounds };
    let run = play(&deployment, workers, rounds, progress).await?;

    let (mut report, mut sheet) = (Report::new("control"), Sheet::new("control", Shape::Single));
    sheet.set("", "rooms", f64::from(load.rooms));
    sheet.set("", "members", f64::from(*members));
    sheet.set("", "sockets", f64::from(run.sockets()));
    sheet.set("", "changes_per_second", float(per_second));
    run.report(&mut sheet, "", "delivery");
    report.errors.extend(run.outcome().first_error.clone());
    let done = done(&run);
    drop(run);
    progress.step("control: stopping servers");
    let mut rules = zero("", &CORRECT);
    rules.extend(close(deployment, &done, &mut sheet, &mut report).await?);
    report.sheets.push(sheet);
    report.finish(&rules, &options.report, progress)
}

#[derive(Debug, Clone, Copy)]
struct Rounds {
    /// Changes a second in all rooms together.
    per_second: u64,
    seconds: u32,
    count: u32,
}

/// Joins the clients, warms up, and plays all rounds.
async fn play(deployment: &Deployment, workers: Workers, rounds: Rounds, progress: &Progress) -> Result<LoadRun> {
    let Rounds { per_second, seconds, count } = rounds;
    progress.step(&format!("joining {} sockets", grouped(workers.sockets().into())));
    let mut run = LoadRun::start(workers, deployment.groups(), progress).await?;
    progress.step(&format!("warming up with {} changes a second", grouped(per_second)));
    run.warm_up(per_second, progress).await?;
    for round in 1..=count {
        progress.step(&format!("round {round} of {count}: {seconds} s"));
        run.round(per_second, seconds, progress).await?;
    }
    Ok(run)
}

/// The events that the ledger should have.
fn done(run: &LoadRun) -> [Done; 2] {
    [Done::times("PLAY_PAUSE", run.outcome().made()), Done::times("USER_JOINED", run.sockets().into())]
}
