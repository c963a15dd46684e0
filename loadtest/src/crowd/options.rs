use std::{str::FromStr, time::Duration};

use anyhow::{Context, Result, ensure};
use clap::Args;

use super::Kind;
use crate::{findings::Output, venue::VenueOptions};

/// Options of every scenario with a crowd.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(super) venue: VenueOptions,
    /// Rooms [default: depends on the scenario]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=50_000), conflicts_with = "stages")]
    rooms: Option<u32>,
    /// Members of each room
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(2..=100))]
    pub(super) members: u32,
    /// Seconds under full load [default: depends on the scenario]
    #[arg(long, value_name = "N", conflicts_with = "stages", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    seconds: Option<u32>,
    /// Seconds over which the rooms come in
    #[arg(long, value_name = "N", default_value_t = 3, conflicts_with = "stages", value_parser = clap::value_parser!(u32).range(1..=3_600))]
    ramp: u32,
    /// Stages instead: so many rooms, reached over so many seconds, such as 50:10,50:30,100:5,100:30
    #[arg(long, value_name = "ROOMS:SECONDS,...")]
    stages: Option<Stages>,
    /// How long all take to come back in the second storm, in milliseconds
    #[arg(long, value_name = "N", default_value_t = 3_000)]
    pub(super) jitter_ms: u64,
    /// Loopback addresses 127.0.0.1.. to connect from [default: as many as the ports need]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=250))]
    pub(super) sources: Option<u8>,
    #[command(flatten)]
    pub(super) output: Output,
}

/// How many rooms there are when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stages(Vec<(u32, Duration)>);

impl FromStr for Stages {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let stage = |text: &str| {
            let (rooms, seconds) = text.split_once(':').context("a stage looks like ROOMS:SECONDS")?;
            anyhow::Ok((rooms.trim().parse()?, Duration::from_secs(seconds.trim().parse()?)))
        };
        let stages = text.split(',').map(stage).collect::<Result<Vec<_>>>()?;
        ensure!(stages.is_sorted_by_key(|(rooms, _)| *rooms), "rooms only become more");
        ensure!(stages.last().is_some_and(|(rooms, _)| *rooms > 0), "there are no rooms");
        Ok(Self(stages))
    }
}

impl Stages {
    /// Rooms at the end.
    pub(super) fn rooms(&self) -> u32 {
        self.0.last().map_or(0, |(rooms, _)| *rooms)
    }

    /// When each room opens, and how long everything takes.
    pub(super) fn openings(&self) -> (Vec<Duration>, Duration) {
        let (mut openings, mut at, mut before) = (Vec::new(), Duration::ZERO, 0);
        for (rooms, over) in &self.0 {
            let more = rooms.saturating_sub(before);
            openings.extend((0..more).map(|room| at + over.mul_f64(f64::from(room) / f64::from(more))));
            at += *over;
            before = *rooms;
        }
        (openings, at)
    }
}

impl Options {
    /// The stages that were asked for.
    pub(super) fn stages(&self, kind: Kind) -> Stages {
        if let Some(stages) = &self.stages {
            return stages.clone();
        }
        let rooms = self.rooms.unwrap_or(kind.rooms());
        let seconds = self.seconds.unwrap_or(kind.seconds());
        Stages(vec![(rooms, Duration::from_secs(self.ramp.into())), (rooms, Duration::from_secs(seconds.into()))])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_open_evenly_within_their_stage() {
        let stages: Stages = "2:4,2:10,4:2".parse().unwrap();
        let (openings, all) = stages.openings();
        let seconds: Vec<f64> = openings.iter().map(Duration::as_secs_f64).collect();
        assert_eq!(seconds, [0.0, 2.0, 14.0, 15.0]);
        assert_eq!((stages.rooms(), all), (4, Duration::from_secs(16)));
        for bad in ["", "3", "3:x", "4:1,2:1", "0:5"] {
            assert!(bad.parse::<Stages>().is_err(), "{bad}");
        }
    }
}
