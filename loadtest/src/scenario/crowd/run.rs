use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Result;

use super::{Options, progress::watched, trouble::Trouble};
use crate::{
    load::{CORRECT, Outcome, RETURNED, Round},
    measure::{KernelMemory, RedisMeter},
    progress::step,
    report::{Report, Rule, Sheet},
    scenario::{close, idle, zero},
    servers::Deployment,
    units::{float, grouped, per},
    workers::Workers,
};

/// Seconds of load after each trouble, when nothing goes wrong any more.
const CALM: u32 = 3;

const MEGABYTE: f64 = 1_048_576.0;

/// Figures of the calm after a trouble that are zero if nothing was lost in it: messages, versions between them, and what roll calls show.
const WHOLE: [&str; 8] = [
    "calm_lost",
    "calm_differing",
    "calm_skipped",
    "calm_errors",
    "call_unheard",
    "call_doubled",
    "call_differing",
    "call_errors",
];

/// Goals, of which a machine may also miss some.
const SOCKET_BYTES: f64 = 5.0 * 1024.0;
const IDLE_PERCENT: f64 = 25.0;
const JOINS_PER_SECOND: f64 = 3_000.0;
const BACK_MS: f64 = 15_000.0;

pub(crate) async fn run(options: &Options) -> Result<ExitCode> {
    let served = options.served();
    step("crowd: starting servers");
    let deployment = served.start().await?;
    let workers = Workers::start(options.plan(&served, &deployment), served.workers).await?;
    let report = Report::new("crowd");
    let mut crowd = Crowd { options, deployment, workers, report, rules: Vec::new(), calls: 0 };
    crowd.idle().await?;
    let mut sheet = Sheet::new("Trouble");
    let mut unfinished = 0;
    for trouble in options.trouble() {
        // What was measured before is worth a report all the same.
        if let Err(error) = crowd.trouble(trouble, &mut sheet).await {
            crowd.note_errors(trouble.name(), Some(format!("{error:#}")));
            unfinished = 1;
            break;
        }
    }
    sheet.set("crowd", "unfinished", f64::from(unfinished));
    crowd.report.sheets.push(sheet);
    let Crowd { deployment, workers, mut report, mut rules, .. } = crowd;
    rules.extend(zero("crowd_", &["unfinished"]));
    if unfinished > 0 {
        return report.finish(&rules, &served.report);
    }
    let joined = ("USER_JOINED", workers.sockets().into());
    drop(workers);
    step("crowd: stopping servers");
    let mut sheet = Sheet::new("Ledger");
    let of_ledger = close(deployment, &[joined], (&mut sheet, ""), &mut report).await?;
    if !of_ledger.is_empty() {
        report.sheets.push(sheet);
        rules.extend(of_ledger);
    }
    report.finish(&rules, &served.report)
}

struct Crowd<'a> {
    options: &'a Options,
    deployment: Deployment,
    workers: Workers,
    report: Report,
    rules: Vec<Rule>,
    /// Roll calls so far.
    calls: u64,
}

impl Crowd<'_> {
    /// Joins all sockets, and measures what they cost while nobody does anything.
    async fn idle(&mut self) -> Result<()> {
        let Self { options, deployment, workers, .. } = self;
        let sockets = workers.sockets();
        let mut groups = deployment.groups();
        groups.push(workers.group()?);
        let before = KernelMemory::read()?;
        let mut asked = match deployment.redis() {
            Some(redis) => Some(RedisMeter::start(redis).await?),
            None => None,
        };
        if let Some(asked) = &mut asked {
            asked.begin().await?;
        }
        step(&format!("joining {} sockets, then resting for {} s", grouped(sockets.into()), options.seconds));
        let hold = Duration::from_secs(options.seconds.into());
        let targets = deployment.targets();
        let idle = watched(&targets, idle::measure(workers, &groups, hold)).await?;
        if let Some(asked) = &mut asked {
            asked.end(sockets.into()).await?;
        }
        let (objects, buffers) = KernelMemory::read()?.per_connection(before, sockets.into());
        let mut sheet = Sheet::new("Crowd");
        idle.report(&mut sheet, "");
        sheet.set("", "joins_refused", float(workers.refused));
        sheet.set("", "idle_nodes_and_redis_cpu_percent", idle.cpu_percent(&["nodes", "redis"]));
        // Both ends of each connection are here.
        sheet.set("", "kernel_object_bytes_of_an_end", objects / 2.0);
        sheet.set("", "kernel_buffer_bytes_of_an_end", buffers / 2.0);
        if let Some(asked) = asked {
            asked.report(&mut sheet, "", "join");
        }
        if let Some(redis) = deployment.redis() {
            let used = float(redis.used_memory().await?);
            sheet.set("", "redis_used_mb", used / MEGABYTE);
            sheet.set("", "socket_redis_used_bytes", per(used, sockets.into()));
        }
        self.rules.extend(zero("", &["idle_errors"]));
        if options.check {
            self.rules.push(Rule::at_most("socket_rss_bytes", SOCKET_BYTES));
            self.rules.push(Rule::at_most("idle_nodes_and_redis_cpu_percent", IDLE_PERCENT));
            self.rules.push(Rule::at_least("joins_per_second", JOINS_PER_SECOND));
        }
        self.report.errors.extend(idle.first_error);
        self.report.sheets.push(sheet);
        Ok(())
    }

    /// Lets something go wrong while some rooms play, and looks whether everybody is back and every room is whole.
    async fn trouble(&mut self, trouble: Trouble, sheet: &mut Sheet) -> Result<()> {
        let name = trouble.name();
        let Self { options, deployment, workers, .. } = self;
        let targets = deployment.targets();
        step(&format!("{name}: {} changes a second", grouped(options.per_second())));
        let round = Round::new(options.per_second(), trouble.seconds(targets.len(), options));
        let before = deployment.cut_short();
        let happen = trouble.happen(deployment, options.min_ready_seconds);
        let both = async { tokio::try_join!(workers.round(round), happen) };
        let (outcome, seconds) = Box::pin(watched(&targets, both)).await?;
        sheet.set(name, "seconds", seconds);
        sheet.set(name, "stops_cut_short", f64::from(deployment.cut_short() - before));
        outcome.returns.report(sheet, name);
        outcome.report(sheet, name, "delivery");
        outcome.others.report(sheet, name, "others");
        trouble.mend(deployment).await?;
        self.rules.extend(zero(&format!("{name}_"), &CORRECT));
        self.rules.extend(zero(&format!("{name}_"), &RETURNED));
        if trouble == Trouble::None {
            self.rules.extend(zero(&format!("{name}_"), &["dropped"]));
        }
        if options.check && trouble == Trouble::Kill {
            self.rules.push(Rule::at_most(&format!("{name}_back_max_ms"), BACK_MS));
        }
        self.note_errors(name, outcome.first_error);
        self.look(name, sheet).await
    }

    /// Sends some more messages when nothing goes wrong any more, and calls the roll.
    async fn look(&mut self, name: &str, sheet: &mut Sheet) -> Result<()> {
        let Self { options, workers, .. } = self;
        let round = workers.round(Round::new(options.per_second(), CALM)).await?;
        self.calls += 1;
        step(&format!("{name}: calling the roll"));
        let begun = Instant::now();
        let call = workers.call_roll(self.calls, options.call_seconds()).await?;
        sheet.set(name, "call_seconds", begun.elapsed().as_secs_f64());
        for (figure, value) in [
            ("calm_lost", round.faults.lost),
            ("calm_differing", round.faults.differing),
            ("calm_skipped", round.skipped),
            ("calm_errors", round.errors),
            ("call_heard", call.delivered),
            ("call_unheard", call.faults.lost),
            ("call_doubled", call.faults.doubled),
            ("call_differing", call.faults.differing),
            ("call_errors", call.errors),
        ] {
            sheet.set(name, figure, float(value));
        }
        round.latency.report(sheet, name, "calm");
        self.rules.extend(zero(&format!("{name}_"), &WHOLE));
        for Outcome { first_error, .. } in [round, call] {
            self.note_errors(name, first_error);
        }
        Ok(())
    }

    fn note_errors(&mut self, name: &str, error: Option<String>) {
        self.report.errors.extend(error.map(|error| format!("{name}: {error}")));
    }
}
