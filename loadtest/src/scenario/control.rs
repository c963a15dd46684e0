//! Members of rooms play and pause: the cost of a delivery, its latency, and whether all arrive, also through an outage.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use super::{LoadOptions, SenderOptions, ServedOptions, close, outage::OutageOptions, zero};
use crate::{
    load::{CORRECT, LoadRun, Plan, RETURNED, Round},
    progress::step,
    report::{Report, Sheet},
    units::{float, grouped},
    workers::Workers,
};

/// Commits that were repeated because another node had changed the room.
const CONFLICTS: &str = "tandem_commit_conflicts_total";

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    load: LoadOptions,
    /// Changes a second in all rooms together, instead of --rate
    #[arg(long, value_name = "N", conflicts_with = "rate", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    total_rate: Option<u64>,
    #[command(flatten)]
    senders: SenderOptions,
    #[command(flatten)]
    outage: OutageOptions,
    #[command(flatten)]
    served: ServedOptions,
}

pub(crate) async fn run(options: &Options) -> Result<ExitCode> {
    let Options { load, senders, outage, .. } = options;
    let served = outage.prepare(options.served.clone());
    let per_second = options.total_rate.unwrap_or(load.per_second());
    senders.check(load.rooms, served.members, per_second)?;
    step("control: starting servers");
    let mut deployment = served.start().await?;
    let plan = served.plan(&deployment, load.rooms).sending(senders.message(), senders.senders);
    let workers = Workers::start(Plan { returns: outage.is_some(), ..plan }, served.workers).await?;
    step(&format!("joining {} sockets", grouped(workers.sockets().into())));
    let mut run = LoadRun::start(workers, &deployment, !outage.ends_nodes()).await?;
    step(&format!("warming up with {} changes a second", grouped(per_second)));
    run.warm_up(per_second).await?;
    let (mut report, mut sheet) = (Report::new("control"), Sheet::new("control"));
    let round = Round { break_within_ms: outage.break_within_ms(), ..Round::new(per_second, load.seconds) };
    tokio::try_join!(play(&mut run, round, load.rounds), outage.play(&mut deployment, &mut sheet))?;
    let mut rules = zero("", &CORRECT);
    if outage.is_some() {
        // An outage may outlast the rounds. After one more, everybody should be back.
        run.warm_up(per_second).await?;
        run.outcome().returns.report(&mut sheet, "");
        rules.extend(zero("", &RETURNED));
    }

    sheet.set("", "rooms", f64::from(load.rooms));
    sheet.set("", "members", f64::from(served.members));
    sheet.set("", "sockets", f64::from(run.sockets()));
    sheet.set("", "changes_per_second", float(per_second));
    run.report(&mut sheet, "", "delivery");
    if let Ok(conflicts) = deployment.metric(CONFLICTS).await {
        sheet.set("", "conflicts", conflicts);
    }
    report.errors.extend(run.outcome().first_error.clone());
    let done = [("PLAY_PAUSE", run.outcome().made()), ("USER_JOINED", run.sockets().into())];
    drop(run);
    step("control: stopping servers");
    rules.extend(close(deployment, &done, (&mut sheet, ""), &mut report).await?);
    report.sheets.push(sheet);
    report.finish(&rules, &served.report)
}

async fn play(run: &mut LoadRun, round: Round, rounds: u32) -> Result<()> {
    for number in 1..=rounds {
        step(&format!("round {number} of {rounds}: {} s", round.seconds));
        run.round(round).await?;
    }
    Ok(())
}
