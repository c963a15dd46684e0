use std::{process::ExitCode, time::Duration};

use anyhow::{Context, Result, bail};

use super::{Act, Load, Options, Servers, Step, What};
use crate::{
    audit::Done,
    client::Peer,
    findings::{Findings, Growth, Point},
    fleet::{BUSIEST, Cast},
    progress::Progress,
    scenario::{
        control::{self, Rounds},
        idle,
    },
    units::{grouped, slope},
    venue::{Defaults, Venue, VenueOptions},
};

/// Nodes on which the masters of a Redis Cluster are compared.
const SHARED: Defaults = Defaults { nodes: 2, drain: 1 };

/// What is summed over all points.
const FAULTS: [&str; 7] = ["lost", "doubled", "out_of_order", "differing", "unsent", "complaints", "sockets"];

/// `loadtest growth`.
pub(crate) async fn run(options: &Options, progress: &Progress) -> Result<ExitCode> {
    let what = options.what.name();
    let mut findings = Findings::new(&format!("growth of {what}"));
    let steps = options.steps();
    if let Some(busy) = steps.iter().find(|step| step.act.is_too_much()) {
        bail!(
            "at {what} {} each room would have {} changes a second, and a socket may send {BUSIEST}: ask for fewer --deliveries",
            busy.at,
            busy.act.per_second.div_ceil(busy.act.rooms.into())
        );
    }
    let mut points = Vec::new();
    for (number, step) in steps.iter().enumerate() {
        let name = if step.line.is_empty() { String::new() } else { format!(", {}", step.line) };
        progress.step(&format!("{} of {}: {what} {}{name}", number + 1, steps.len(), grouped(step.at.into())));
        let own = measure(options, step, progress).await.with_context(|| format!("at {what} {}{name}", step.at))?;
        for (figure, value) in
            own.figures.iter().filter(|(it, _)| FAULTS.contains(&it.as_str()) || it.starts_with("ledger_"))
        {
            findings.add(figure, *value);
        }
        findings.complaints.extend(own.complaints);
        findings.warnings.extend(own.warnings);
        let note = String::new();
        points.push(Point { line: step.line.to_owned(), at: step.at.into(), figures: own.figures, note });
    }
    if options.what == What::Sockets {
        let grown = |point: &Point| {
            let megabytes = point.figures.get("rss_with_mb")? - point.figures.get("rss_before_mb")?;
            Some((*point.figures.get("sockets")?, megabytes * 1_048_576.0))
        };
        let bytes = slope(&points.iter().filter_map(grown).collect::<Vec<_>>());
        if let Some(bytes) = bytes {
            findings.figure("one_more_socket_rss_bytes", bytes);
        }
    }
    findings.grow(Growth { across: what.to_owned(), columns: options.what.load().columns(), points });
    let rules: &[&str] = if options.what == What::Sockets { &[] } else { &["unsent=0", "differing=0"] };
    findings.conclude(rules, &options.output, progress)
}

/// One point, on servers of its own.
async fn measure(options: &Options, step: &Step, progress: &Progress) -> Result<Findings> {
    let Act { load, rooms, members, per_second } = step.act;
    let servers = servers(options.venue.clone(), step.servers).for_rooms_of(members);
    let defaults = if matches!(step.servers, Servers::Masters(_)) { SHARED } else { Defaults::NONE };
    let venue = Venue::open(&servers, defaults).await?;
    let cast = Cast::new(venue.targets().to_vec(), Peer::Tandem, (rooms, members), &options.manners);
    let mut findings = Findings::new("point");
    let done = match load {
        Load::Idle => {
            let mut crew = options.staff.hire(cast).await?;
            let hold = Duration::from_secs(options.seconds.into());
            let figures = idle::measure(&mut crew, &venue.meters_now(), hold, progress).await?;
            idle::report(&figures, &mut findings);
            vec![Done::times("USER_JOINED", figures.sockets)]
        }
        Load::Control => {
            let rounds = Rounds { per_second, seconds: options.seconds, count: options.rounds };
            let crew = options.staff.hire(cast.with_senders(1)).await?;
            let trial = control::play(&venue, crew, rounds, progress).await?;
            control::report(&trial, &mut findings);
            control::done(&trial).to_vec()
        }
    };
    venue.close(&done, &mut findings).await?;
    Ok(findings)
}

fn servers(asked: VenueOptions, servers: Servers) -> VenueOptions {
    match servers {
        Servers::Asked => asked,
        Servers::Alone => asked.of(1),
        Servers::Cluster(nodes) => asked.of(nodes).sharing(None),
        Servers::Masters(masters) => asked.sharing(masters),
    }
}
