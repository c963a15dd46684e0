use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

use super::{Answer, Request};
use crate::{
    load::{Generator, Plan, Round},
    progress::Progress,
};

#[derive(Debug)]
pub(super) struct Local {
    plan: Plan,
    generator: Option<Generator>,
}

impl Local {
    /// A worker whose clients have not joined yet.
    pub(super) fn new(plan: Plan) -> Self {
        Self { plan, generator: None }
    }

    pub(super) async fn answer(&mut self, request: Request, progress: &Progress) -> Result<Answer> {
        match request {
            Request::Join { generation } => {
                // Clients that are still connected leave first.
                self.generator = None;
                let plan = Plan { name: format!("{}-{generation}", self.plan.name), ..self.plan.clone() };
                self.generator = Some(Generator::join(plan, progress).await?);
                Ok(Answer::Done)
            }
            Request::Round { at_micros, per_second, seconds } => {
                let round = Round { start: moment(at_micros), per_second, seconds };
                Ok(Answer::Round(Box::new(self.generator()?.round(round).await?)))
            }
            Request::Disconnect => {
                self.generator = None;
                Ok(Answer::Done)
            }
            Request::Errors => {
                let (count, first) = self.generator()?.take_errors();
                Ok(Answer::Errors(count, first))
            }
        }
    }

    fn generator(&mut self) -> Result<&mut Generator> {
        self.generator.as_mut().context("no clients have joined")
    }
}

/// A moment of the system clock on the monotonic clock of this process.
fn moment(at_micros: u64) -> Instant {
    let ahead = (UNIX_EPOCH + Duration::from_micros(at_micros)).duration_since(SystemTime::now());
    Instant::now() + ahead.unwrap_or_default()
}
