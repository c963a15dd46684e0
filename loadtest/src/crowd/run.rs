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

use super::{Bot, Kind, Options, Order, Record, Sampler, options::Stages};
use crate::{
    audit::Done,
    findings::Findings,
    fleet::source,
    limits::check_open_files,
    progress::Progress,
    target::Target,
    units::{float, grouped},
    venue::{Defaults, Venue},
};

/// How long all may take to come in, or back.
const BACK: Duration = Duration::from_mins(1);

/// How long all may take to leave.
const LEAVE: Duration = Duration::from_secs(15);

/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// Runs one scenario.
pub(crate) async fn run(kind: Kind, options: &Options, progress: &Progress) -> Result<ExitCode> {
    let stages = options.stages(kind);
    let sockets = stages.rooms() * options.members;
    check_open_files(sockets)?;
    progress.step(&format!("{}: starting", kind.name()));
    let mut venue = Venue::open(&options.venue, Defaults { nodes: kind.nodes(), drain: kind.drain() }).await?;
    let record = Arc::new(Record::new());
    let sampler = Sampler::start(Arc::clone(&record), venue.meters());
    let (orders, told) = watch::channel(Order::default());
    let crowd = Crowd { kind, options, record: Arc::clone(&record), told, targets: venue.targets().into(), sockets };

    progress.step(&format!("{}: {} sockets", kind.name(), grouped(sockets.into())));
    let mut rooms = crowd.open(&stages);
    let mut findings = Findings::new(kind.name());
    let evening = crowd.evening(&stages, &mut venue, &orders, &mut findings, progress);
    tokio::select! {
        done = evening => done?,
        () = show(&record, kind, progress) => {}
    }
    findings.take(&record, sockets);

    progress.step(&format!("{}: all leave", kind.name()));
    orders.send_modify(|order| order.over = true);
    let _ = timeout(LEAVE, async { while rooms.join_next().await.is_some() {} }).await;
    rooms.shutdown().await;
    drop(sampler);
    if kind == Kind::Slow {
        findings.figure("given_up_share", float(record.total("given_up")) / f64::from(stages.rooms()));
    }
    progress.step(&format!("{}: stopping", kind.name()));
    let done = |event, asked, heard| Done { event, heard: record.total(heard), asked: record.total(asked) };
    let done = [done("BROADCAST", "chats", "chats_heard"), done("SEEK", "seeks", "seeks_heard")];
    venue.close(&done, &mut findings).await?;
    findings.conclude(kind.rules(), &options.output, progress)
}

/// What is needed to make one.
struct Crowd<'a> {
    kind: Kind,
    options: &'a Options,
    record: Arc<Record>,
    told: watch::Receiver<Order>,
    targets: Arc<[Target]>,
    sockets: u32,
}

impl Crowd<'_> {
    /// Opens the rooms by and by. The first of each is there before the others.
    fn open(&self, stages: &Stages) -> JoinSet<()> {
        let begun = Instant::now();
        let mut rooms = JoinSet::new();
        for (room, opening) in (0_u32..).zip(stages.openings().0) {
            let (arrived, first_is_in) = oneshot::channel();
            let mut bots: Vec<Bot> = (0..self.options.members).map(|member| self.bot(room, member)).collect();
            if let Some(first) = bots.first_mut() {
                first.arrived = Some(arrived);
            }
            rooms.spawn(async move {
                sleep_until((begun + opening).into()).await;
                let mut members = JoinSet::new();
                let mut bots = bots.into_iter();
                members.extend(bots.next().map(Bot::live));
                // An error means that it has ended: so will the others.
                let _ = first_is_in.await;
                members.extend(bots.map(Bot::live));
                while members.join_next().await.is_some() {}
            });
        }
        rooms
    }

    fn bot(&self, room: u32, member: u32) -> Bot {
        let habits = self.kind.habits();
        Bot {
            room: format!("{}-{}-{room}", self.kind.name(), std::process::id()),
            member,
            stalls: habits.stall && member + 1 == self.options.members,
            habits,
            targets: Arc::clone(&self.targets),
            at: usize::try_from(room + member).unwrap_or_default(),
            source: source(self.options.sources, room, self.sockets),
            orders: self.told.clone(),
            record: Arc::clone(&self.record),
            arrived: None,
        }
    }

    /// Everything between the first socket and the last goodbye.
    async fn evening(
        &self,
        stages: &Stages,
        venue: &mut Venue<'_>,
        orders: &watch::Sender<Order>,
        findings: &mut Findings,
        progress: &Progress,
    ) -> Result<()> {
        let (openings, all) = stages.openings();
        let begun = Instant::now();
        sleep(openings.last().copied().unwrap_or_default()).await;
        let all_in = self.until(|record| record.total("joined") >= u64::from(self.sockets)).await;
        ensure!(
            all_in,
            "only {} of {} came in: {:?}",
            self.record.total("joined"),
            self.sockets,
            self.record.complaints()
        );
        match self.kind {
            Kind::Storm => self.storms(orders, findings, progress).await,
            Kind::Drain => self.drains(venue, findings, progress).await?,
            _ => {}
        }
        sleep_until((begun + all).into()).await;
        Ok(())
    }

    async fn until(&self, done: impl Fn(&Record) -> bool) -> bool {
        let begun = Instant::now();
        while !done(&self.record) {
            if begun.elapsed() > BACK {
                return false;
            }
            sleep(LOOK).await;
        }
        true
    }

    /// All sockets break: first all come back at once, then spread.
    async fn storms(&self, orders: &watch::Sender<Order>, findings: &mut Findings, progress: &Progress) {
        let spread = Duration::from_millis(self.options.jitter_ms);
        for (name, jitter) in [("at_once", Duration::ZERO), ("spread", spread)] {
            progress.step(&format!("storm: all sockets break, and come back within {jitter:?}"));
            let expected = self.record.total("returned") + u64::from(self.sockets);
            let begun = Instant::now();
            orders.send_modify(|order| {
                order.cuts += 1;
                order.jitter = jitter;
            });
            self.until(|record| record.total("returned") >= expected).await;
            let missing = expected.saturating_sub(self.record.total("returned"));
            findings.add("not_back", float(missing));
            findings.figure(&format!("{name}_back_ms"), begun.elapsed().as_secs_f64() * 1e3);
            findings.figure(&format!("{name}_peak_100ms"), float(self.record.peak_since("attempts", begun)));
            sleep(Duration::from_secs(2)).await;
        }
    }

    /// One node after the other is restarted.
    async fn drains(&self, venue: &mut Venue<'_>, findings: &mut Findings, progress: &Progress) -> Result<()> {
        ensure!(venue.nodes() > 1, "a rolling restart needs --nodes 2 or more");
        for number in 0..venue.nodes() {
            progress.step(&format!("drain: node {number} is restarted"));
            let begun = Instant::now();
            venue.restart(number).await?;
            findings.most("drain_seconds", begun.elapsed().as_secs_f64());
            let lost = |record: &Record| record.total("moved") + record.total("broken");
            let back = self.until(|record| record.total("returned") >= lost(record)).await;
            let missing = lost(&self.record).saturating_sub(self.record.total("returned"));
            findings.add("not_back", if back { 0.0 } else { float(missing) });
            findings.most("drain_peak_100ms", float(self.record.peak_since("attempts", begun)));
            sleep(Duration::from_secs(1)).await;
        }
        Ok(())
    }
}

/// Tells on a terminal how it goes, for ever.
async fn show(record: &Record, kind: Kind, progress: &Progress) {
    loop {
        sleep(Duration::from_millis(500)).await;
        let (delivered, wrong) = (record.total("delivered"), record.total("complaints") + record.total("lost"));
        let joined = record.total("joined");
        let text = format!("{}: {joined} in, {} delivered, {wrong} wrong", kind.name(), grouped(delivered));
        progress.detail(&text);
    }
}
