use std::{
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use tokio::{
    sync::{oneshot, watch},
    task::JoinSet,
    time::{sleep, sleep_until, timeout},
};

use super::{Command, Options, Record, Scenario, User};
use crate::{
    client::{Peer, Target, source},
    limits::check_open_files,
    measure::{Done, Sampler},
    progress::Progress,
    report::{Report, Shape, Sheet},
    scenario::{close, zero},
    servers::{Deployment, Launcher},
    units::{float, grouped},
};

/// Limit for all users to join, or to come back.
const BACK: Duration = Duration::from_mins(1);

const LEAVE: Duration = Duration::from_secs(15);

const POLL: Duration = Duration::from_millis(20);

const CORRECT: [&str; 4] = ["lost", "doubled", "out_of_order", "errors"];

pub(crate) async fn run(scenario: Scenario, options: &Options, progress: &Progress) -> Result<ExitCode> {
    let (name, rooms) = (scenario.name(), options.rooms(scenario));
    let sockets = rooms * options.members;
    check_open_files(sockets)?;
    progress.step(&format!("{name}: starting servers"));
    let mut deployment = Launcher::open(&options.deployment, scenario.nodes(), scenario.drain_seconds()).await?;
    ensure!(
        deployment.peer() == Peer::Tandem,
        "`{name}` only runs on tandem; use `control`, `idle` or `limit` for peers"
    );
    let record = Arc::new(Record::new());
    let sampler = Sampler::start(deployment.shared_groups());
    let (commands, receiver) = watch::channel(Command::default());
    let targets = deployment.targets().into();
    let users = Users { scenario, options, record: Arc::clone(&record), commands: receiver, targets, rooms, sockets };

    progress.step(&format!("{name}: joining {} sockets", grouped(sockets.into())));
    let (mut report, mut sheet) = (Report::new(name), Sheet::new(name, Shape::Single));
    sheet.set("", "sockets", f64::from(sockets));
    let mut tasks = users.open();
    tokio::select! {
        done = users.play(&mut deployment, &commands, &mut sheet, progress) => done?,
        () = show(&record, name, progress) => {}
    }
    record.report(&mut sheet);
    sampler.report(&mut sheet);
    report.errors = record.errors();

    progress.step(&format!("{name}: all users leave"));
    commands.send_modify(|command| command.over = true);
    let _ = timeout(LEAVE, async { while tasks.join_next().await.is_some() {} }).await;
    tasks.shutdown().await;
    drop(sampler);
    if scenario == Scenario::Slow {
        sheet.set("", "given_up_share", float(record.total("given_up")) / f64::from(rooms));
    }
    progress.step(&format!("{name}: stopping servers"));
    let done = |event, sent, received| Done { event, received: record.total(received), sent: record.total(sent) };
    let done = [done("BROADCAST", "chats", "chats_received"), done("SEEK", "seeks", "seeks_received")];
    let mut rules = zero("", &CORRECT);
    for rule in scenario.rules() {
        rules.push(rule.parse()?);
    }
    rules.extend(close(deployment, &done, &mut sheet, &mut report).await?);
    report.sheets.push(sheet);
    report.finish(&rules, &options.report, progress)
}

struct Users<'a> {
    scenario: Scenario,
    options: &'a Options,
    record: Arc<Record>,
    commands: watch::Receiver<Command>,
    targets: Arc<[Target]>,
    rooms: u32,
    sockets: u32,
}

impl Users<'_> {
    fn ramp(&self) -> Duration {
        Duration::from_secs(self.options.ramp.into())
    }

    /// Opens the rooms one after the other. The host of each joins before the guests.
    fn open(&self) -> JoinSet<()> {
        let begun = Instant::now();
        let mut rooms = JoinSet::new();
        for room in 0..self.rooms {
            let opening = begun + self.ramp().mul_f64(f64::from(room) / f64::from(self.rooms));
            let (joined, host_joined) = oneshot::channel();
            let mut users: Vec<User> = (0..self.options.members).map(|member| self.user(room, member)).collect();
            if let Some(host) = users.first_mut() {
                host.joined = Some(joined);
            }
            rooms.spawn(async move {
                sleep_until(opening.into()).await;
                let mut members = JoinSet::new();
                let mut users = users.into_iter();
                members.extend(users.next().map(User::live));
                // An error means that the scenario is over.
                let _ = host_joined.await;
                members.extend(users.map(User::live));
                while members.join_next().await.is_some() {}
            });
        }
        rooms
    }

    fn user(&self, room: u32, member: u32) -> User {
        let behaviour = self.scenario.behaviour();
        User {
            room: format!("{}-{}-{room}", self.scenario.name(), std::process::id()),
            member,
            stalls: behaviour.stall && member + 1 == self.options.members,
            behaviour,
            targets: Arc::clone(&self.targets),
            node: usize::try_from(room + member).unwrap_or_default(),
            source: source(self.options.sources, room, self.sockets),
            commands: self.commands.clone(),
            record: Arc::clone(&self.record),
            joined: None,
        }
    }

    /// Plays the scenario, from the first join until the users are told to leave.
    async fn play(
        &self,
        deployment: &mut Deployment,
        commands: &watch::Sender<Command>,
        sheet: &mut Sheet,
        progress: &Progress,
    ) -> Result<()> {
        let begun = Instant::now();
        let all = self.ramp() + Duration::from_secs(self.options.seconds(self.scenario).into());
        sleep(self.ramp().mul_f64(f64::from(self.rooms - 1) / f64::from(self.rooms))).await;
        let joined = self.until(|record| record.total("joined") >= u64::from(self.sockets)).await;
        let (count, errors) = (self.record.total("joined"), self.record.errors());
        ensure!(joined, "only {count} of {} users joined within {BACK:?}: {errors:?}", self.sockets);
        match self.scenario {
            Scenario::Storm => self.storm(commands, sheet, progress).await,
            Scenario::Drain => self.drain(deployment, sheet, progress).await?,
            _ => {}
        }
        sleep_until((begun + all).into()).await;
        Ok(())
    }

    /// Waits for something; returns whether it came within the limit.
    async fn until(&self, done: impl Fn(&Record) -> bool) -> bool {
        let begun = Instant::now();
        while !done(&self.record) {
            if begun.elapsed() > BACK {
                return false;
            }
            sleep(POLL).await;
        }
        true
    }

    /// Breaks all connections. The users come back all at once the first time, and spread over a while the second time.
    async fn storm(&self, commands: &watch::Sender<Command>, sheet: &mut Sheet, progress: &Progress) {
        let spread = Duration::from_millis(self.options.jitter_ms);
        let mut not_back = 0;
        for (name, jitter) in [("at_once", Duration::ZERO), ("spread", spread)] {
            progress.step(&format!("storm: all connections break, users come back within {jitter:?}"));
            let expected = self.record.total("returned") + u64::from(self.sockets);
            let begun = Instant::now();
            commands.send_modify(|command| {
                command.breaks += 1;
                command.jitter = jitter;
            });
            self.until(|record| record.total("returned") >= expected).await;
            not_back += expected.saturating_sub(self.record.total("returned"));
            sheet.set("", &format!("{name}_back_ms"), begun.elapsed().as_secs_f64() * 1e3);
            let peak = self.record.peak_since("attempts", begun);
            sheet.set("", &format!("{name}_attempts_peak_per_100ms"), float(peak));
            sleep(Duration::from_secs(2)).await;
        }
        sheet.set("", "not_back", float(not_back));
    }

    async fn drain(&self, deployment: &mut Deployment, sheet: &mut Sheet, progress: &Progress) -> Result<()> {
        let nodes = deployment.restartable_nodes();
        ensure!(nodes > 1, "`drain` restarts nodes that it has started itself: use --nodes 2 or more, and no --url");
        let (mut slowest, mut peak, mut not_back) = (0.0_f64, 0, 0);
        for number in 0..nodes {
            progress.step(&format!("drain: restarting node {number}"));
            let begun = Instant::now();
            deployment.restart(number).await?;
            slowest = slowest.max(begun.elapsed().as_secs_f64());
            let lost = |record: &Record| record.total("moved") + record.total("broken");
            if !self.until(|record| record.total("returned") >= lost(record)).await {
                not_back += lost(&self.record).saturating_sub(self.record.total("returned"));
            }
            peak = peak.max(self.record.peak_since("attempts", begun));
            sleep(Duration::from_secs(1)).await;
        }
        sheet.set("", "slowest_restart_seconds", slowest);
        sheet.set("", "drain_attempts_peak_per_100ms", float(peak));
        sheet.set("", "not_back", float(not_back));
        Ok(())
    }
}

/// Shows the state of a scenario on a terminal; never returns.
async fn show(record: &Record, name: &str, progress: &Progress) {
    loop {
        sleep(Duration::from_millis(500)).await;
        let (delivered, wrong) = (grouped(record.total("delivered")), record.total("errors") + record.total("lost"));
        progress.detail(&format!("{name}: {} joined, {delivered} delivered, {wrong} wrong", record.total("joined")));
    }
}
