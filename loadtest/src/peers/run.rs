use anyhow::Result;

use super::{PeerOptions, Phase, calls::Calls, joins::Storm};
use crate::{
    contestant::{Contestant, Launcher, Running},
    fleet::{MEMBERS, Manners},
    progress::Progress,
    report::Report,
    units::grouped,
};

/// Where everybody is measured, and who.
pub(crate) struct Ground<'a> {
    /// What is asked for.
    pub(crate) options: &'a PeerOptions,
    /// Starts them.
    pub(crate) launcher: &'a Launcher<'a>,
    /// Who has several nodes; first the one whose ratio to the others is taken.
    pub(crate) contestants: Vec<Contestant>,
    /// How many, and their seconds.
    pub(crate) rounds: (u32, u32),
    /// How clients present themselves.
    pub(crate) manners: &'a Manners,
}

impl Ground<'_> {
    /// Whatever is asked for, with fresh servers for each part.
    pub(crate) async fn measure(&self, report: &mut Report, progress: &Progress) -> Result<()> {
        if self.options.signals > 0 {
            let phase = self.signals(report, progress).await?;
            report.phases.push(phase);
        }
        if self.options.joins >= MEMBERS {
            let phase = self.joins(report, progress).await?;
            report.phases.push(phase);
        }
        Ok(())
    }

    async fn start(&self, purpose: &str, progress: &Progress) -> Result<Vec<(Contestant, Running)>> {
        let mut running = Vec::new();
        for contestant in &self.contestants {
            progress.step(&format!("{purpose}, {}: starting", contestant.name()));
            running.push((*contestant, self.launcher.start(*contestant, purpose).await?));
        }
        Ok(running)
    }

    /// All up, but only one under load at a time; who goes first changes with every round.
    async fn signals(&self, report: &mut Report, progress: &Progress) -> Result<Phase> {
        let PeerOptions { signals, pairs, .. } = *self.options;
        let (rounds, seconds) = self.rounds;
        let running = self.start("signals", progress).await?;
        let mut acts = Vec::new();
        for (place, (contestant, running)) in running.iter().enumerate() {
            let (name, peer) = (contestant.name(), contestant.peer());
            progress.step(&format!("signals, {name}: {pairs} pairs"));
            let mut calls = Calls::gather(name, peer, &running.targets(), running.meters(), pairs).await?;
            calls.warm_up(signals).await?;
            acts.push((place, calls));
        }
        for round in 1..=rounds {
            for ((contestant, _), (_, calls)) in in_turn(&running, &mut acts) {
                let (name, rate) = (contestant.name(), grouped(signals.into()));
                progress.step(&format!("signals, round {round} of {rounds}, {name}: {rate} a second for {seconds} s"));
                calls.round(signals, seconds).await?;
            }
            acts.rotate_left(1);
        }
        acts.sort_unstable_by_key(|(place, _)| *place);
        let of = acts.iter().map(|(_, calls)| calls.figures()).collect();
        drop(acts);
        self.stop(running, report, progress).await?;
        let title = "Signals between two nodes".to_owned();
        Ok(compared(Phase { title, unit: "signals", news: "signals", since: "since due", of, ratios: Vec::new() }))
    }

    /// The same, of those who come.
    async fn joins(&self, report: &mut Report, progress: &Progress) -> Result<Phase> {
        let PeerOptions { joins, at_once, .. } = *self.options;
        let rooms = joins / MEMBERS;
        let (rounds, _) = self.rounds;
        let running = self.start("joins", progress).await?;
        let mut acts = Vec::new();
        for (place, (contestant, running)) in running.iter().enumerate() {
            let who = (contestant.name(), contestant.peer());
            let storm = Storm::new(who, running.targets(), running.meters(), (rooms, at_once), self.manners)?;
            acts.push((place, storm));
        }
        for round in 1..=rounds {
            for ((contestant, _), (_, storm)) in in_turn(&running, &mut acts) {
                let (name, count) = (contestant.name(), grouped(u64::from(rooms * MEMBERS)));
                progress.step(&format!("joins, round {round} of {rounds}, {name}: {count}"));
                storm.round().await?;
            }
            acts.rotate_left(1);
        }
        acts.sort_unstable_by_key(|(place, _)| *place);
        let of = acts.iter().map(|(_, storm)| storm.figures()).collect();
        drop(acts);
        self.stop(running, report, progress).await?;
        let title = format!("Joins, {at_once} rooms at once");
        let since = "since connecting";
        Ok(compared(Phase { title, unit: "joins", news: "news of others", since, of, ratios: Vec::new() }))
    }

    async fn stop(&self, running: Vec<(Contestant, Running)>, report: &mut Report, progress: &Progress) -> Result<()> {
        for (contestant, running) in running {
            progress.step(&format!("{}: stopping", contestant.name()));
            report.warnings.extend(running.stop().await?);
        }
        Ok(())
    }
}

/// Each act with its servers, in the order of the acts.
fn in_turn<'a, A>(
    running: &'a [(Contestant, Running)],
    acts: &'a mut [(usize, A)],
) -> impl Iterator<Item = (&'a (Contestant, Running), &'a mut (usize, A))> {
    acts.iter_mut().filter_map(|act| Some((running.get(act.0)?, act)))
}

fn compared(mut phase: Phase) -> Phase {
    phase.compare();
    phase
}
