use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

use super::{Answer, Order};
use crate::{
    fleet::Cast,
    progress::Progress,
    stage::{Round, Stage},
};

/// A generator: some of the rooms, and what it was told last.
#[derive(Debug)]
pub(super) struct Hand {
    cast: Cast,
    stage: Option<Stage>,
}

impl Hand {
    /// One that has nobody in yet.
    pub(super) fn new(cast: Cast) -> Self {
        Self { cast, stage: None }
    }

    /// Does what it is told.
    pub(super) async fn obey(&mut self, order: Order, progress: &Progress) -> Result<Answer> {
        match order {
            Order::Gather { generation } => {
                // Whoever is still in goes first.
                self.stage = None;
                let cast = Cast { name: format!("{}-{generation}", self.cast.name), ..self.cast.clone() };
                self.stage = Some(Stage::set(&cast, progress).await?);
                Ok(Answer::Gathered)
            }
            Order::Round { at_micros, per_second, seconds } => {
                let start = moment(at_micros);
                let haul = self.stage()?.round(Round { start, per_second, seconds }).await?;
                Ok(Answer::Round(Box::new(haul)))
            }
            Order::Scatter => {
                self.stage = None;
                Ok(Answer::Scattered)
            }
            Order::Complaints => {
                let (count, first) = self.stage()?.complaints();
                Ok(Answer::Complaints(count, first))
            }
        }
    }

    fn stage(&mut self) -> Result<&mut Stage> {
        self.stage.as_mut().context("nobody is in")
    }
}

/// That moment on this process' own clock.
fn moment(at_micros: u64) -> Instant {
    let ahead = (UNIX_EPOCH + Duration::from_micros(at_micros)).duration_since(SystemTime::now());
    Instant::now() + ahead.unwrap_or_default()
}
