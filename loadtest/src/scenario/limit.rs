//! The most changes a second that a deployment takes.

use std::{process::ExitCode, time::Duration};

use anyhow::Result;
use clap::Args;
use tokio::time::sleep;

use super::{SenderOptions, ServedOptions, close, search::Search};
use crate::{
    load::{Outcome, Round},
    measure::{CpuMeter, ProcessGroup, report_cpu},
    progress::step,
    report::{Report, Sheet},
    units::{float, grouped},
    workers::Workers,
};

/// Pause for the servers after a rate that was too high.
const CALM: Duration = Duration::from_secs(2);

/// Seconds of the warm-up before each rate.
const WARM_UP: u32 = 1;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Rooms; each sender takes up to 90 changes a second
    #[arg(long, value_name = "N", default_value_t = 250, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    rooms: u32,
    #[command(flatten)]
    senders: SenderOptions,
    /// The latency that 99 % of the deliveries must stay below, in milliseconds
    #[arg(long, value_name = "N", default_value_t = 100.0)]
    p99_ms: f64,
    /// Changes a second to begin with, in all rooms together
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    from: u64,
    /// How exactly to find the limit, in percent
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=50))]
    precision: u64,
    /// Seconds of each rate
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// A rate is too high when it fails so many times in a row
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=10))]
    tries: u32,
    #[command(flatten)]
    served: ServedOptions,
}

pub(crate) async fn run(options: &Options) -> Result<ExitCode> {
    let Options { rooms, senders, served, .. } = options;
    senders.check(*rooms, served.members, 1)?;
    step("limit: starting servers");
    let deployment = served.start().await?;
    let plan = served.plan(&deployment, *rooms).sending(senders.message(), senders.senders);
    let mut workers = Workers::start(plan, served.workers).await?;
    let groups = deployment.groups();
    let mut points = Sheet::new("changes/s");
    let mut search = Search::new(options.from, senders.most(*rooms), options.precision);
    step(&format!("joining {} sockets", grouped(workers.sockets().into())));
    workers.join().await?;
    while let Some(rate) = search.next() {
        let mut passed = false;
        for attempt in 1..=options.tries {
            let point = if attempt > 1 { format!("{rate}_try_{attempt}") } else { rate.to_string() };
            let round = Round::new(rate, options.seconds);
            let outcome = measure(&mut workers, &groups, round, (&mut points, &point)).await?;
            let reason = too_high(&outcome, options.p99_ms);
            passed = reason.is_none();
            let word = reason.unwrap_or_else(|| "ok".to_owned());
            let p99 = points.get(&point, "delivery_p99_ms").unwrap_or(0.0);
            step(&format!("{} changes/s, try {attempt}: p99 {p99:.1} ms, {word}", grouped(rate)));
            if passed {
                break;
            }
            // The next try must not wait for what is still under way, so the clients join other rooms.
            workers.disconnect().await?;
            sleep(CALM).await;
            workers.use_new_rooms();
            workers.join().await?;
        }
        search.learn(rate, passed);
    }
    drop(workers);

    let (mut report, mut sheet) = (Report::new("limit"), Sheet::new("limit"));
    sheet.set("", "rooms", f64::from(*rooms));
    sheet.set("", "members", f64::from(served.members));
    let good = search.good().unwrap_or(0);
    sheet.set("", "limit_changes_per_second", float(good));
    sheet.set("", "limit_deliveries_per_second", float(good * u64::from(served.members)));
    match search.bad() {
        Some(bad) => sheet.set("", "too_high_changes_per_second", float(bad)),
        None => report.notes.push("the senders may not send more, so the limit is higher: use more --rooms".to_owned()),
    }
    step("limit: stopping servers");
    // The number of changes at a rate that was too high is not known, so the ledger is only checked for doubled events.
    let mut rules = vec!["limit_changes_per_second>0".parse()?];
    rules.extend(close(deployment, &[], (&mut sheet, ""), &mut report).await?);
    report.sheets = vec![points, sheet];
    report.finish(&rules, &served.report)
}

/// Plays a rate, and reports its figures.
async fn measure(
    workers: &mut Workers,
    groups: &[ProcessGroup],
    round: Round,
    (points, point): (&mut Sheet, &str),
) -> Result<Outcome> {
    let warm_up = workers.round(Round::new(round.per_second, WARM_UP)).await?.without_latency()?;
    let meter = CpuMeter::start(groups)?;
    let mut outcome = workers.round(round).await?;
    let spent = meter.stop(outcome.delivered, float(outcome.sent) / float(round.per_second))?;
    outcome.add(warm_up)?;
    report_cpu(points, point, "delivery", &[spent]);
    outcome.latency.report(points, point, "delivery");
    points.set(point, "generator_lag_p99_ms", outcome.lag.quantile_ms(0.99));
    Ok(outcome)
}

/// Why a rate is too high; `None` if it is not.
fn too_high(outcome: &Outcome, p99_ms: f64) -> Option<String> {
    let Outcome { expected, delivered, unsent, faults, errors, first_error, .. } = outcome;
    let (p99, lag) = (outcome.latency.quantile_ms(0.99), outcome.lag.quantile_ms(0.99));
    let wrong = faults.doubled + faults.out_of_order + faults.differing;
    if *errors > 0 {
        let first = first_error.as_deref().unwrap_or_default();
        Some(format!("{errors} errors: {}", first.chars().take(60).collect::<String>()))
    } else if *unsent > 0 {
        Some(format!("{unsent} not sent"))
    } else if wrong > 0 {
        Some(format!("{wrong} wrong"))
    } else if delivered < expected {
        Some(format!("{} late", expected - delivered))
    } else if p99 < p99_ms {
        None
    } else if lag > p99_ms / 2.0 {
        Some("p99, and the generator is late".to_owned())
    } else {
        Some("p99".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(micros: u64, lag: u64) -> Outcome {
        let mut outcome = Outcome::new().unwrap();
        (outcome.sent, outcome.expected, outcome.delivered) = (1, 4, 4);
        outcome.latency.record_span(Duration::from_micros(micros));
        outcome.lag.record_span(Duration::from_micros(lag));
        outcome
    }

    #[test]
    fn a_rate_is_too_high_for_one_of_several_reasons() {
        assert_eq!(too_high(&outcome(99_000, 100), 100.0), None);
        assert_eq!(too_high(&outcome(101_000, 100), 100.0).as_deref(), Some("p99"));
        assert!(too_high(&outcome(101_000, 60_000), 100.0).unwrap().contains("generator"));
        let with = |change: fn(&mut Outcome)| {
            let mut outcome = outcome(1, 1);
            change(&mut outcome);
            too_high(&outcome, 100.0).unwrap()
        };
        assert_eq!(with(|it| it.delivered = 3), "1 late");
        assert_eq!(with(|it| it.unsent = 1), "1 not sent");
        assert_eq!(
            with(|it| (it.errors, it.first_error) = (2, Some("unavailable".to_owned()))),
            "2 errors: unavailable"
        );
    }
}
