//! Counts the instructions that each step of a frame takes, under valgrind, and compares them with `baseline.json`. Times say little
//! on a machine that does other things meanwhile; instructions are the same each time.

mod baseline;
mod count;
mod facts;
mod step;
mod steps;
mod verdict;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result, bail};
use clap::{Parser, Subcommand};

use crate::{
    baseline::Baseline,
    count::{Count, Counter},
    facts::Facts,
    step::Step,
    verdict::{Verdict, is_news},
};

/// Counts the instructions of each step of a frame, and compares them with the baseline.
#[derive(Debug, Parser)]
#[command(max_term_width = 100)]
struct Options {
    #[command(subcommand)]
    command: Option<Command>,
    /// Write down what is counted: from now on it is what others are compared with
    #[arg(long)]
    bless: bool,
    /// Fail, too, when compiler, C library or valgrind are others than those of the baseline
    #[arg(long)]
    strict: bool,
    /// Only steps that have this in their name
    #[arg(long, value_name = "TEXT", conflicts_with = "bless")]
    only: Option<String>,
    /// Keep callgrind's files, for callgrind_annotate
    #[arg(long, value_name = "FOLDER")]
    keep: Option<PathBuf>,
    /// The baseline
    #[arg(long, value_name = "FILE", default_value = "benches/instructions/baseline.json")]
    baseline: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run one step this number of times, under valgrind
    #[command(hide = true)]
    Step { name: String, times: u64 },
}

fn main() -> Result<ExitCode> {
    let options = Options::parse();
    if let Some(Command::Step { name, times }) = &options.command {
        let step = step::all().into_iter().find(|step| step.name == name).with_context(|| format!("no step {name}"))?;
        (step.run)(*times)?;
        return Ok(ExitCode::SUCCESS);
    }
    let steps =
        step::all().into_iter().filter(|step| options.only.as_ref().is_none_or(|only| step.name.contains(only)));
    let counter = Counter::new(options.keep.as_deref())?;
    let old = if options.bless && !options.baseline.exists() { None } else { Some(Baseline::read(&options.baseline)?) };
    let count = |step: Step| count_well(&counter, &step, old.as_ref());
    let counts = steps.map(count).collect::<Result<Vec<Count>>>()?;
    if counts.is_empty() {
        bail!("no step has that in its name");
    }
    let facts = Facts::here()?;
    let mut fine = true;
    if let Some(old) = &old {
        let verdict = Verdict::new(old, &counts, &facts, options.only.is_none());
        println!("{verdict}");
        fine = verdict.passes(options.strict);
    }
    if options.bless {
        Baseline::new(facts, &counts).write(&options.baseline)?;
        println!("written to {}", options.baseline.display());
        fine = true;
    }
    Ok(if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What is out of bounds is counted twice more, and what is nearest to the baseline holds: hash tables may have had a bad day, but what
/// was really made slower is so each time.
fn count_well(counter: &Counter<'_>, step: &Step, old: Option<&Baseline>) -> Result<Count> {
    let mut best = counter.count(step)?;
    let Some(before) = old.and_then(|old| old.steps.get(step.name).copied()) else { return Ok(best) };
    for _ in 0..2 {
        if !is_news(before, best.instructions) {
            break;
        }
        let again = counter.count(step)?;
        if (again.instructions - before).abs() < (best.instructions - before).abs() {
            best = again;
        }
    }
    Ok(best)
}
