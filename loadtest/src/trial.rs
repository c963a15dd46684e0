//! Rounds under load: what came of them, and what they cost.

use anyhow::{Result, bail};

use crate::{
    crew::Crew,
    haul::Haul,
    meter::Meters,
    progress::Progress,
    scenario::control::{Figures, Share},
    units::float,
};

/// Seconds of the round that warms everything up.
const WARM_UP: u32 = 2;

/// A crew and the meters of the servers that it plays on.
#[derive(Debug)]
pub(crate) struct Trial {
    crew: Crew,
    meters: Meters,
    haul: Haul,
}

impl Trial {
    /// Brings the clients in.
    pub(crate) async fn begin(mut crew: Crew, meters: Meters, progress: &Progress) -> Result<Self> {
        crew.gather(progress).await?;
        Ok(Self { crew, meters, haul: Haul::new()? })
    }

    /// A short round that is checked but not measured.
    pub(crate) async fn warm_up(&mut self, per_second: u64, progress: &Progress) -> Result<()> {
        let haul = self.crew.round(per_second, WARM_UP, progress).await?;
        self.haul.add(delivered(haul)?.untimed()?)
    }

    /// A round that counts.
    pub(crate) async fn round(&mut self, per_second: u64, seconds: u32, progress: &Progress) -> Result<()> {
        let before = self.meters.read()?;
        let haul = delivered(self.crew.round(per_second, seconds, progress).await?)?;
        self.meters.note(&before, haul.outcome.delivered, float(haul.outcome.sent) / float(per_second))?;
        self.haul.add(haul)
    }

    /// Clients.
    pub(crate) fn sockets(&self) -> u32 {
        self.crew.sockets()
    }

    /// All that came of the rounds.
    pub(crate) fn haul(&self) -> &Haul {
        &self.haul
    }

    /// The figures of all rounds.
    pub(crate) fn figures(&self) -> Figures {
        let (haul, rounds) = (&self.haul, self.meters.totals());
        Figures {
            outcome: haul.outcome.clone(),
            latency: haul.latency.summary(),
            generator_lag: haul.lag.summary(),
            cpu: Share::median(&rounds),
            rounds,
            parts: self.meters.parts(),
        }
    }
}

/// Where nothing at all arrives, going on tells nothing.
fn delivered(haul: Haul) -> Result<Haul> {
    if haul.outcome.delivered == 0 {
        bail!("nothing was delivered; {}", haul.outcome.first_complaint.unwrap_or_else(|| "nobody complained".into()));
    }
    Ok(haul)
}
