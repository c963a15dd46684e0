//! Plays stories and says which of them went wrong.
#![allow(missing_docs, reason = "a tool of this repository")]
#![allow(clippy::unwrap_used, reason = "a broken simulation is to stop")]

use std::{
    collections::BTreeMap,
    num::NonZero,
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use clap::Parser;
use sim::{
    coverage::Coverage,
    judge::{Verdict, judge},
    plan::Plan,
    record::{Entered, Event, digest},
    shrink::shrink,
    world::play,
};

/// In so many stories each fault meets each frame type.
const ENOUGH: u64 = 1_000;

#[derive(Parser)]
struct Options {
    /// How many stories to play
    #[arg(long, env = "SEEDS", default_value = "2000")]
    seeds: u64,
    /// The first seed
    #[arg(long, env = "SEED_FROM", default_value = "1")]
    from: u64,
    /// Stop after so many seconds, whatever is left
    #[arg(long)]
    within: Option<u64>,
    /// Stop at the first story that goes wrong
    #[arg(long)]
    first: bool,
    /// Play every so many seeds twice: both have to give the same story
    #[arg(long, default_value = "50")]
    twice: NonZero<u64>,
    /// Print how often each frame type was sent during each fault
    #[arg(long)]
    table: bool,
    /// Play this seed alone, tell what happened, and make it smaller if it goes wrong
    #[arg(long)]
    replay: Option<u64>,
    /// Do not make it smaller
    #[arg(long)]
    whole: bool,
}

#[derive(Default)]
struct Found {
    wrong: BTreeMap<u64, Vec<Verdict>>,
    coverage: Coverage,
    virtual_ms: u64,
    playing: Duration,
    judging: Duration,
}

fn main() -> ExitCode {
    let options = Options::parse();
    match options.replay {
        Some(seed) => replay(seed, options.whole),
        None => play_all(&options),
    }
}

fn play_all(options: &Options) -> ExitCode {
    let (next, played, stop) = (AtomicU64::new(options.from), AtomicU64::new(0), AtomicBool::new(false));
    let (found, began) = (Mutex::new(Found::default()), Instant::now());
    let until = options.from + options.seeds;
    let over = || options.within.is_some_and(|within| began.elapsed() >= Duration::from_secs(within));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) && !over() {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= until {
                        break;
                    }
                    let wrong = try_one(seed, options.twice.get(), &found);
                    played.fetch_add(1, Ordering::Relaxed);
                    stop.fetch_or(wrong && options.first, Ordering::Relaxed);
                }
            });
        }
    });
    let found = found.into_inner().unwrap();
    let (played, wall) = (played.into_inner(), began.elapsed().as_secs_f64());
    let hours = Duration::from_millis(found.virtual_ms).as_secs_f64() / 3_600.0;
    let of =
        |time: Duration| time.as_secs_f64() * 1_000.0 / f64::from(u32::try_from(played.max(1)).unwrap_or(u32::MAX));
    println!(
        "{played} of {} stories, {hours:.1} virtual hours, {wall:.1} s: {:.1} ms each to play, {:.1} ms to judge",
        options.seeds,
        of(found.playing),
        of(found.judging)
    );
    for (seed, verdicts) in &found.wrong {
        println!("seed {seed} went wrong (cargo run --release -p sim -- --replay {seed}):");
        for verdict in verdicts.iter().take(3) {
            println!("  {:?} at {} ms: {}", verdict.crime, verdict.at, verdict.what);
        }
    }
    // A few stories need not have seen everything.
    let unmet = if played >= ENOUGH { found.coverage.unmet() } else { Vec::new() };
    if options.table {
        println!("{}", found.coverage);
    }
    for (fault, frame) in &unmet {
        println!("no {frame} was sent during `{fault}`");
    }
    if found.wrong.is_empty() && unmet.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Plays a story, and returns whether it went wrong.
fn try_one(seed: u64, twice: u64, found: &Mutex<Found>) -> bool {
    let plan = Plan::draw(seed);
    let began = Instant::now();
    let Ok(events) = std::panic::catch_unwind(|| play(&plan)) else {
        let verdict = Verdict { crime: sim::judge::Crime::Panic, at: 0, what: "the story panicked".to_owned() };
        found.lock().unwrap().wrong.insert(seed, vec![verdict]);
        return true;
    };
    let played = began.elapsed();
    let mut verdicts = judge(&events);
    let judged = began.elapsed() - played;
    if seed.is_multiple_of(twice) && digest(&play(&plan)) != digest(&events) {
        let what = "played again it is another story".to_owned();
        verdicts.push(Verdict { crime: sim::judge::Crime::Unsteady, at: 0, what });
    }
    let mut found = found.lock().unwrap();
    found.coverage.add(&events);
    found.playing += played;
    found.judging += judged;
    found.virtual_ms += events.last().map_or(0, |last| last.at);
    let wrong = !verdicts.is_empty();
    if wrong {
        found.wrong.insert(seed, verdicts);
    }
    wrong
}

fn replay(seed: u64, whole: bool) -> ExitCode {
    let mut plan = Plan::draw(seed);
    let mut events = play(&plan);
    if let Some(verdict) = judge(&events).first()
        && !whole
    {
        plan = shrink(&plan, verdict.crime);
        events = play(&plan);
    }
    for Entered { at, event } in &events {
        println!("{at:>7} {}", short(event));
    }
    println!(
        "{} steps of {} clients, faults: {:?}",
        plan.steps.len(),
        plan.present.len(),
        plan.faults().collect::<Vec<_>>()
    );
    let verdicts = judge(&events);
    for verdict in &verdicts {
        println!("{:?} at {} ms: {}", verdict.crime, verdict.at, verdict.what);
    }
    println!("digest {:016x}", digest(&events));
    if verdicts.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn short(event: &Event) -> String {
    match event {
        Event::Commit { update, .. } => {
            let changes: Vec<_> = update.changes.iter().map(|change| format!("{change:?}")).collect();
            format!("commit {}+{} in {}: {:.200}", update.base, update.changes.len(), update.epoch, changes.join(", "))
        }
        Event::Got { line, frame } => format!("{line:?} <- {:.300}", frame.to_string()),
        Event::Sent { line, frame } => format!("{line:?} -> {frame}"),
        Event::End { .. } => "end".to_owned(),
        other => format!("{other:?}"),
    }
}
