use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use redis::{RedisError, Value};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{WorkerMetrics, delivery::Delivery, streams::delete_dead};
use crate::{
    clock::{self, Millis},
    shared::{Connector, Layout, Wire, clock_script},
};

/// How often it looks.
const LOOK: Duration = Duration::from_secs(2);
/// How often the alarm is sounded at the most.
const ALARM: Duration = Duration::from_mins(1);

/// The nodes write to more or fewer streams than this worker reads.
pub(super) struct Misfit;

/// Sees how much waits in Redis, sounds the alarm, and clears away what dead workers have left.
pub(super) struct Watch {
    pub(super) connector: Connector,
    pub(super) layout: Layout,
    /// Most entries of a partition.
    pub(super) most: usize,
    /// After which a consumer is dead.
    pub(super) dead: Duration,
    pub(super) metrics: Arc<WorkerMetrics>,
    pub(super) stop: CancellationToken,
}

/// How much waits in a partition, and since when.
struct Waiting {
    length: usize,
    since: Option<Millis>,
}

impl Watch {
    pub(super) async fn run(self) -> Result<(), Misfit> {
        let mut wire: Option<Wire> = None;
        let (mut alarmed, mut cleared): (Option<Instant>, _) = (None, Instant::now());
        while !self.stop.is_cancelled() {
            match self.look(&mut wire).await {
                Ok(None) => return Err(Misfit),
                Ok(Some((all, now))) => self.tell(&all, now, &mut alarmed),
                Err(error) => {
                    // The pump says it, too, and louder.
                    tracing::debug!(%error, "the streams cannot be looked at");
                    wire = None;
                }
            }
            if cleared.elapsed() >= self.dead
                && let Some(wire) = &wire
            {
                cleared = Instant::now();
                self.clear(wire).await;
            }
            tokio::select! {
                () = sleep(LOOK) => {}
                () = self.stop.cancelled() => {}
            }
        }
        Ok(())
    }

    /// What waits in each partition, and what time it is by the clock that entries are dated by: Redis' own. Nothing if the nodes have another
    /// number of partitions.
    async fn look(&self, wire: &mut Option<Wire>) -> Result<Option<(Vec<Waiting>, Millis)>, RedisError> {
        let wire = match wire {
            Some(wire) => wire,
            None => wire.insert(self.connector.connect(|_| {}).await?),
        };
        let common: Option<String> = redis::cmd("GET").arg(self.layout.deployment()).query_async(wire).await?;
        if common.is_some_and(|common| self.layout.fits(&common).is_none()) {
            return Ok(None);
        }
        let asked: Result<Millis, _> = clock_script().key(self.layout.deployment()).invoke_async(wire).await;
        let now = match asked {
            Ok(micros) => micros / 1_000,
            Err(error) => {
                // The clock of this machine may be wrong, but is better than none.
                tracing::debug!(%error, "Redis does not say what time it is");
                clock::system()
            }
        };
        let looks = (0..self.layout.partitions()).map(|partition| {
            let (mut wire, stream) = (wire.clone(), self.layout.events(partition));
            async move {
                let mut both = redis::pipe();
                both.cmd("XLEN").arg(&stream);
                both.cmd("XRANGE").arg(&stream).arg("-").arg("+").arg("COUNT").arg(1);
                let (length, first) = both.query_async::<(usize, Value)>(&mut wire).await?;
                let first = Delivery::list(partition, first).into_iter().next();
                let since = first.and_then(|entry| entry.id.split('-').next()?.parse().ok());
                Ok(Waiting { length, since })
            }
        });
        let all = join_all(looks).await.into_iter().collect::<Result<_, RedisError>>()?;
        Ok(Some((all, now)))
    }

    fn tell(&self, all: &[Waiting], now: Millis, alarmed: &mut Option<Instant>) {
        let sum: usize = all.iter().map(|waiting| waiting.length).sum();
        self.metrics.stream_length.set(i64::try_from(sum).unwrap_or(i64::MAX));
        let oldest = all.iter().filter_map(|waiting| waiting.since).min();
        let lag = Duration::from_millis(oldest.map_or(0, |oldest| now.saturating_sub(oldest)));
        self.metrics.lag_seconds.set(lag.as_secs_f64());
        let Some((partition, longest)) = (0_u16..).zip(all).max_by_key(|(_, waiting)| waiting.length) else { return };
        let (length, most, seconds) = (longest.length, self.most, lag.as_secs());
        if length.saturating_mul(10) < most || alarmed.is_some_and(|at| at.elapsed() < ALARM) {
            return;
        }
        *alarmed = Some(Instant::now());
        if length.saturating_mul(2) >= most {
            tracing::error!(
                partition,
                length,
                most,
                seconds,
                "the ledger lags: rooms refuse changes once the stream is full"
            );
        } else {
            tracing::warn!(partition, length, most, seconds, "the ledger lags");
        }
    }

    async fn clear(&self, wire: &Wire) {
        let deletes = (0..self.layout.partitions()).map(|partition| {
            let (mut wire, stream) = (wire.clone(), self.layout.events(partition));
            async move { delete_dead(&mut wire, &stream, self.dead).await }
        });
        match join_all(deletes).await.into_iter().collect::<Result<Vec<_>, _>>() {
            Ok(gone) if gone.iter().sum::<u64>() > 0 => {
                tracing::info!(consumers = gone.iter().max(), "consumers of dead workers deleted");
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "consumers of dead workers cannot be deleted"),
        }
    }
}
