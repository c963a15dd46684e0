//! What an attacker from one address does to others: their latency beside that of a harmless time just before.

mod attacker;
mod harmless;
mod kind;
mod price;
mod watch;

use std::{
    process::{ExitCode, Stdio},
    time::Duration,
};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use tokio::process::Command;

pub(crate) use attacker::{Options as AttackerOptions, run as attacker};
pub(crate) use kind::Kind;

use watch::Watch;

use super::{SenderOptions, ServedOptions, zero};
use crate::{
    load::{CORRECT, Outcome, Round},
    progress::step,
    report::{Report, Rule, Sheet},
    servers::Deployment,
    units::float,
    workers::Workers,
};

/// Seconds that an attacker has before the others are measured.
const AHEAD: u32 = 2;
/// How many times what was granted an attacker has tried at least, if some of it was refused in earnest.
const REFUSED_SOME: f64 = 1.05;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// What the attacker does; all by default
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    attack: Vec<Kind>,
    /// Rooms of harmless members
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rooms: u32,
    /// Changes a second of all harmless members
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    total_rate: u64,
    /// Seconds of each time, harmless and under attack
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// Pairs of times for each attack; the figures are medians
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=20))]
    rounds: u32,
    /// Exit with 1 if an attack costs the nodes more than this beyond a harmless client at the same rate, in percent of a core
    #[arg(long, value_name = "N")]
    cpu_at_most: Option<f64>,
    /// Exit with 1 if the others' p99 grows by more than this, in percent
    #[arg(long, value_name = "N")]
    at_most: Option<f64>,
    #[command(flatten)]
    senders: SenderOptions,
    #[command(flatten)]
    served: ServedOptions,
}

pub(crate) async fn run(options: &Options) -> Result<ExitCode> {
    let all = Kind::value_variants();
    let kinds = if options.attack.is_empty() { all } else { &options.attack };
    let (mut report, mut sheet, mut rules) = (Report::new("attack"), Sheet::new("attack"), Vec::new());
    let served = &options.served;
    options.senders.check(options.rooms, served.members, options.total_rate)?;
    for kind in kinds {
        let column = kind.name();
        // Each on servers of its own: what an attacker leaves behind must not be taken for the next one's work.
        step(&format!("{column}: starting servers"));
        let deployment = served.start().await?;
        let plan = served.plan(&deployment, options.rooms);
        let plan = plan.sending(options.senders.message(), options.senders.senders);
        let mut workers = Workers::start(plan, served.workers).await?;
        workers.join().await?;
        workers.round(Round::new(options.total_rate, AHEAD)).await?;
        let outcome = duel(options, *kind, &mut workers, &deployment, &mut sheet).await?;
        report.errors.extend(outcome.first_error);
        drop(workers);
        rules.extend(zero(&format!("{column}_"), &CORRECT));
        if let Some(most) = options.cpu_at_most {
            rules.push(Rule::at_most(&format!("{column}_cpu_above_harmless_percent"), most));
        }
        if let Some(most) = options.at_most {
            rules.push(Rule::at_most(&format!("{column}_p99_growth_percent"), most));
        }
        // What the ledger has is not held against what was done: it also has what the attacker did.
        deployment.stop().await?;
    }
    report.sheets.push(sheet);
    report.finish(&rules, &served.report)
}

/// Calm times, times under attack, and times beside a harmless client that does as much as was granted to the attacker, in turns. Where the
/// attacker tried more than that, a harmless client does more, too, so that the price of what was tried is known.
async fn duel(
    options: &Options,
    kind: Kind,
    workers: &mut Workers,
    deployment: &Deployment,
    sheet: &mut Sheet,
) -> Result<Outcome> {
    let (column, round) = (kind.name(), Round::new(options.total_rate, options.seconds));
    let (mut calm, mut attacked, mut all) = (Vec::new(), Vec::new(), Outcome::new()?);
    let (mut calm_cpu, mut attacked_cpu, mut beside_cpu) = (Vec::new(), Vec::new(), Vec::new());
    let (mut tried, mut granted, mut refused, mut bytes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut plain, mut waiting) = (Vec::new(), Vec::new());
    let (mut operation, mut computed, mut above_computed) = (Vec::new(), Vec::new(), Vec::new());
    for number in 1..=options.rounds {
        step(&format!("{column}: round {number} of {}", options.rounds));
        let before = cpu(deployment)?;
        let outcome = workers.round(round).await?;
        let calm_now = percent(cpu(deployment)?.saturating_sub(before), options.seconds);
        calm_cpu.push(calm_now);
        calm.push(outcome.latency.quantile_ms(0.99));
        all.add(outcome)?;
        let child = start(kind, deployment, AHEAD + options.seconds, None)?;
        let (outcome, attacked_now, most) = beside(options, workers, deployment, &mut all).await?;
        attacked_cpu.push(attacked_now);
        waiting.push(most);
        attacked.push(outcome.latency.quantile_ms(0.99));
        all.add(outcome)?;
        let gain = gain_of(child).await?;
        let per_second = |number: u64| float(number) / f64::from(AHEAD + options.seconds);
        tried.push(per_second(gain.tried));
        granted.push(per_second(gain.granted));
        refused.push(per_second(gain.refused));
        bytes.push(per_second(gain.bytes_sent));
        let (attempts, grants) = (per_second(gain.tried), per_second(gain.granted));
        let mut priced = harmless_beside(options, (kind, grants), workers, deployment, &mut all).await?;
        beside_cpu.push(priced.0);
        plain.push(priced.1);
        if attempts > grants * REFUSED_SOME {
            let rate = attempts.min(price::PLAYED).max(grants);
            priced = harmless_beside(options, (kind, rate), workers, deployment, &mut all).await?;
        }
        if let Some(us) = price::operation_us(priced.0, calm_now, priced.1) {
            let whole = price::computed(calm_now, us, attempts);
            operation.push(us);
            computed.push(whole);
            above_computed.push(attacked_now - whole);
        }
    }
    let above = attacked_cpu.iter().zip(&beside_cpu).map(|(attacked, beside)| attacked - beside).collect();
    let growth = calm.iter().zip(&attacked).map(|(calm, attacked)| (attacked / calm - 1.0) * 100.0).collect();
    sheet.set_rounds(column, "harmless_p99_ms", calm);
    sheet.set_rounds(column, "attacked_p99_ms", attacked);
    sheet.set_rounds(column, "p99_growth_percent", growth);
    sheet.set_rounds(column, "harmless_nodes_cpu_percent", calm_cpu);
    sheet.set_rounds(column, "attacked_nodes_cpu_percent", attacked_cpu);
    sheet.set_rounds(column, "same_rate_nodes_cpu_percent", beside_cpu);
    sheet.set_rounds(column, "cpu_above_harmless_percent", above);
    sheet.set_rounds(column, "harmless_operation_us", operation);
    sheet.set_rounds(column, "computed_tried_rate_nodes_cpu_percent", computed);
    sheet.set_rounds(column, "cpu_above_computed_tried_rate_percent", above_computed);
    sheet.set_rounds(column, "tried_per_second", tried);
    sheet.set_rounds(column, "granted_per_second", granted);
    sheet.set_rounds(column, "refused_per_second", refused);
    sheet.set_rounds(column, "same_rate_granted_per_second", plain);
    sheet.set_rounds(column, "sent_bytes_per_second", bytes);
    sheet.set_rounds(column, "outboxes_most_bytes", waiting);
    all.report(sheet, column, "delivery");
    Ok(all)
}

/// A round while somebody else is at work, after a while for them to begin: what it came to, the CPU of the nodes in percent, and the
/// bytes that waited in outboxes at most.
async fn beside(
    options: &Options,
    workers: &mut Workers,
    deployment: &Deployment,
    all: &mut Outcome,
) -> Result<(Outcome, f64, f64)> {
    let watch = Watch::start(deployment)?;
    all.add(workers.round(Round::new(options.total_rate, AHEAD)).await?.without_latency()?)?;
    let before = cpu(deployment)?;
    let outcome = workers.round(Round::new(options.total_rate, options.seconds)).await?;
    let cpu = percent(cpu(deployment)?.saturating_sub(before), options.seconds);
    Ok((outcome, cpu, watch.most()))
}

/// A round while a harmless client does so much each second of what is plain in place of an attack: the CPU of the nodes in percent, and how
/// much of it the client did each second.
async fn harmless_beside(
    options: &Options,
    (kind, rate): (Kind, f64),
    workers: &mut Workers,
    deployment: &Deployment,
    all: &mut Outcome,
) -> Result<(f64, f64)> {
    let seconds = AHEAD + options.seconds;
    let child = start(kind, deployment, seconds, Some(rate))?;
    let (outcome, cpu, _) = beside(options, workers, deployment, all).await?;
    all.add(outcome.without_latency()?)?;
    Ok((cpu, float(gain_of(child).await?.granted) / f64::from(seconds)))
}

async fn gain_of(child: tokio::process::Child) -> Result<attacker::Gain> {
    let output = child.wait_with_output().await?;
    serde_json::from_slice(&output.stdout).context("the attacker told no gain")
}

/// CPU time of all nodes. A worker, Redis and a database are not asked by anybody who attacks.
fn cpu(deployment: &Deployment) -> Result<Duration> {
    deployment.groups().first().context("there is no node")?.cpu()
}

fn percent(cpu: Duration, seconds: u32) -> f64 {
    cpu.as_secs_f64() / f64::from(seconds) * 100.0
}

/// The attacker gives way to the server and to harmless clients, which share the machine with it: it runs while no CPU has anything else to
/// do, so that what others notice is the node's work for it and not its own.
fn start(kind: Kind, deployment: &Deployment, seconds: u32, harmless: Option<f64>) -> Result<tokio::process::Child> {
    let target = *deployment.targets().first().context("there is no node")?;
    let name = kind.to_possible_value().context("it has no name")?;
    let this = std::env::current_exe().context("cannot find the path of this program")?;
    Command::new("setpriv")
        .args(["--pdeathsig", "TERM", "chrt", "--idle", "0"])
        .arg(this)
        .args(["attacker", "--kind", name.get_name(), "--target", &target.to_string()])
        .args(["--seconds", &seconds.to_string()])
        .args(harmless.iter().flat_map(|rate| ["--harmless".to_owned(), rate.to_string()]))
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("cannot start the attacker: are `setpriv` and `chrt` (util-linux) installed?")
}
