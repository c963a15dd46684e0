use std::{collections::BTreeMap, process::ExitCode, time::Duration};

use anyhow::Result;
use clap::Args;
use tokio::time::sleep;

use super::Search;
use crate::{
    client::Peer,
    crew::{Crew, Staff},
    findings::{Findings, Growth, Output, Point},
    fleet::{BUSIEST, Cast, MEMBERS, Manners},
    haul::{Haul, Outcome},
    meter::{Meter, Meters},
    progress::Progress,
    scenario::growth::Load,
    units::{float, grouped},
    venue::{Defaults, Venue, VenueOptions},
};

/// How long servers may get over a rate that was too much.
const CALM: Duration = Duration::from_secs(2);

/// Seconds of the round before each.
const WARM_UP: u32 = 1;

/// Options of `loadtest limit`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    venue: VenueOptions,
    /// Rooms; each takes up to 90 changes a second
    #[arg(long, value_name = "N", default_value_t = 250, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    rooms: u32,
    /// Members of each room; one of them sends
    #[arg(long, value_name = "N", default_value_t = MEMBERS, value_parser = clap::value_parser!(u32).range(2..=5_000))]
    members: u32,
    /// The latency that 99 % of all deliveries may have, in milliseconds
    #[arg(long, value_name = "N", default_value_t = 100.0)]
    p99_ms: f64,
    /// Changes a second to begin with, in all rooms together
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    from: u64,
    /// How exactly the limit is to be known, in percent
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=50))]
    precision: u64,
    /// Seconds of each step
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// A rate is too much when it fails so many times in a row
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=10))]
    tries: u32,
    #[command(flatten)]
    staff: Staff,
    #[command(flatten)]
    manners: Manners,
    #[command(flatten)]
    output: Output,
}

/// `loadtest limit`.
pub(crate) async fn run(options: &Options, progress: &Progress) -> Result<ExitCode> {
    progress.step("limit: starting");
    let servers = options.venue.clone().for_rooms_of(options.members);
    let venue = Venue::open(&servers, Defaults::NONE).await?;
    let shape = (options.rooms, options.members);
    let cast = Cast::new(venue.targets().to_vec(), Peer::Tandem, shape, &options.manners).with_senders(1);
    let mut crew = options.staff.hire(cast).await?;
    let most = u64::from(options.rooms) * u64::from(BUSIEST);
    let mut search = Search::new(options.from, most, options.precision);
    let mut points = Vec::new();
    progress.step(&format!("limit: {} sockets", grouped(crew.sockets().into())));
    crew.gather(progress).await?;
    while let Some(rate) = search.next() {
        let mut passed = false;
        for attempt in 1..=options.tries {
            let point = step(options, rate, &mut crew, venue.meters_now(), progress).await?;
            let again = if attempt > 1 { " (again)" } else { "" };
            progress.step(&format!("limit: {} a second{again}: {}", grouped(rate), told(&point)));
            passed = point.note == OK;
            points.push(point);
            if passed {
                break;
            }
            // What is still under way is of no interest: others come, into other rooms.
            crew.scatter(progress).await?;
            sleep(CALM).await;
            crew.forget_rooms();
            crew.gather(progress).await?;
        }
        search.learn(rate, passed);
    }
    drop(crew);
    if search.bad().is_none() {
        progress.step("limit: the hosts may send no more than this; with more --rooms there are more of them");
    }

    let mut findings = Findings::new("limit");
    findings.figure("rooms", f64::from(options.rooms));
    findings.figure("members", f64::from(options.members));
    findings.figure("limit_changes_per_second", float(search.good().unwrap_or(0)));
    findings.figure("limit_deliveries_per_second", float(search.good().unwrap_or(0) * u64::from(options.members)));
    // Otherwise it is only what was tried.
    findings.figure("limit_was_found", f64::from(u8::from(search.bad().is_some())));
    if let Some(bad) = search.bad() {
        findings.figure("too_much_changes_per_second", float(bad));
    }
    // As it was at the highest rate that was good.
    let best = points.iter().filter(|point| point.note == OK).max_by(|one, two| one.at.total_cmp(&two.at));
    for (name, value) in best.iter().flat_map(|point| &point.figures) {
        findings.figure(&format!("limit_{name}"), *value);
    }
    points.sort_by(|one, two| one.at.total_cmp(&two.at));
    findings.growth = Some(Growth { across: "changes a second".to_owned(), columns: Load::Control.columns(), points });
    progress.step("limit: stopping");
    // What was under way at a rate that was too much, nobody knows.
    venue.close(&[], &mut findings).await?;
    findings.conclude(&["limit_changes_per_second>0"], &options.output, progress)
}

/// What is said of a rate that is not too much.
const OK: &str = "ok";

/// One rate.
async fn step(options: &Options, rate: u64, crew: &mut Crew, meters: Vec<Meter>, progress: &Progress) -> Result<Point> {
    let warm_up = crew.round(rate, WARM_UP, progress).await?.untimed()?;
    let mut meters = Meters::new(meters);
    let before = meters.read()?;
    let mut haul = crew.round(rate, options.seconds, progress).await?;
    meters.note(&before, haul.outcome.delivered, float(haul.outcome.sent) / float(rate))?;
    haul.add(warm_up)?;

    let milliseconds = |micros: u64| float(micros) / 1e3;
    let (latency, lag) = (haul.latency.summary(), haul.lag.summary());
    let mut figures = BTreeMap::from([
        ("latency_p50_ms".to_owned(), milliseconds(latency.p50)),
        ("latency_p99_ms".to_owned(), milliseconds(latency.p99)),
        ("latency_p999_ms".to_owned(), milliseconds(latency.p999)),
        ("generator_lag_p99_ms".to_owned(), milliseconds(lag.p99)),
    ]);
    if haul.outcome.delivered > 0 {
        figures.extend(meters.totals().first().map(|all| ("delivery_cpu_us".to_owned(), all.total)));
        for part in meters.parts() {
            let name = part.name.to_lowercase();
            figures.insert(format!("delivery_{name}_cpu_us"), part.cpu.total);
            figures.insert(format!("{name}_cpu_percent"), part.percent);
        }
    }
    let note = verdict(&haul, options.p99_ms);
    Ok(Point { line: String::new(), at: float(rate), figures, note })
}

/// [`OK`], or what is wrong with it.
fn verdict(haul: &Haul, p99_ms: f64) -> String {
    let Outcome { expected, delivered, unsent, faults, complaints, first_complaint, .. } = &haul.outcome;
    let (p99, lag) = (float(haul.latency.summary().p99) / 1e3, float(haul.lag.summary().p99) / 1e3);
    let wrong = faults.doubled + faults.out_of_order + faults.differing;
    if *complaints > 0 {
        let first = first_complaint.as_deref().unwrap_or_default();
        format!("{complaints} refused or closed: {}", first.chars().take(60).collect::<String>())
    } else if *unsent > 0 {
        format!("{unsent} not sent")
    } else if wrong > 0 {
        format!("{wrong} wrong")
    } else if delivered < expected {
        format!("{} not there in time", expected - delivered)
    } else if p99 < p99_ms {
        OK.to_owned()
    } else if lag > p99_ms / 2.0 {
        "p99, and the generator itself is late".to_owned()
    } else {
        "p99".to_owned()
    }
}

fn told(point: &Point) -> String {
    let p99 = point.figures.get("latency_p99_ms").copied().unwrap_or(0.0);
    format!("p99 {p99:.1} ms, {}", point.note)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn haul(micros: u64, lag: u64) -> Haul {
        let mut haul = Haul::new().unwrap();
        (haul.outcome.sent, haul.outcome.expected, haul.outcome.delivered) = (1, 4, 4);
        haul.latency.record_span(Duration::from_micros(micros));
        haul.lag.record_span(Duration::from_micros(lag));
        haul
    }

    #[test]
    fn a_rate_is_too_much_for_one_of_several_reasons() {
        assert_eq!(verdict(&haul(99_000, 100), 100.0), OK);
        assert_eq!(verdict(&haul(101_000, 100), 100.0), "p99");
        assert!(verdict(&haul(101_000, 60_000), 100.0).contains("generator"));
        let with = |change: fn(&mut Outcome)| {
            let mut haul = haul(1, 1);
            change(&mut haul.outcome);
            verdict(&haul, 100.0)
        };
        assert!(with(|it| it.delivered = 3).contains("1 not there"));
        let refused = with(|it| (it.complaints, it.first_complaint) = (2, Some("unavailable".to_owned())));
        assert!(refused.contains("2 refused or closed: unavailable"));
        assert!(with(|it| it.unsent = 1).contains("1 not sent"));
    }
}
