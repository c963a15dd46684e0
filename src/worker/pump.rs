use std::{sync::Arc, time::Duration};

use redis::RedisError;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{
    WorkerMetrics,
    breaker::spread,
    condition::Condition,
    delivery::Delivery,
    scribe::{Scribe, Stopped},
    streams::Streams,
    trouble::Trouble,
};

/// Between two looks at streams, unless more is there than one look brings: what comes meanwhile is written together, and a transaction
/// costs as much as some hundred rows. With very many partitions longer, a millisecond for each.
const PACE: Duration = Duration::from_millis(75);
/// Between two tries while Redis is out of order.
const RETRY: Duration = Duration::from_millis(500);

/// Moves entries from Redis to PostgreSQL.
pub(super) struct Pump {
    pub(super) streams: Streams,
    pub(super) scribe: Scribe,
    /// Most entries of a transaction.
    pub(super) batch: usize,
    /// When what others have in hand is taken over.
    pub(super) claim: Duration,
    pub(super) metrics: Arc<WorkerMetrics>,
    pub(super) condition: Arc<Condition>,
    pub(super) stop: CancellationToken,
}

impl Pump {
    /// Until told to stop; what is in hand then is still written, if PostgreSQL takes it.
    pub(super) async fn run(mut self) {
        let mut trouble = Trouble::new("Redis");
        let pace = PACE.max(Duration::from_millis(self.streams.layout().partitions().into()));
        let mut look = Instant::now();
        while !self.stop.is_cancelled() {
            let wait = match self.round(&mut look).await {
                Ok(behind) => {
                    self.condition.redis.set(true);
                    trouble.over();
                    if behind {
                        continue;
                    }
                    pace
                }
                Err(Interrupted::Redis(error)) => {
                    self.condition.redis.set(false);
                    trouble.report(&error);
                    spread(RETRY)
                }
                Err(Interrupted::Stopped) => return,
            };
            tokio::select! {
                () = sleep(wait) => {}
                () = self.stop.cancelled() => {}
            }
        }
    }

    /// Whether there is more.
    async fn round(&mut self, look: &mut Instant) -> Result<bool, Interrupted> {
        let mut entries = self.streams.read().await?;
        let mut behind = self.streams.is_behind();
        if Instant::now() >= *look {
            let taken = self.streams.take_over(self.claim).await?;
            // What is left behind should not wait for a whole round again.
            *look = Instant::now() + if taken.is_empty() { spread(self.claim / 3) } else { Duration::ZERO };
            if !taken.is_empty() {
                self.metrics.taken_over.inc_by(taken.len() as u64);
                tracing::warn!(entries = taken.len(), "taken over: a worker had them in hand for too long");
                entries.extend(taken);
                behind = true;
            }
        }
        for batch in entries.chunks(self.batch) {
            self.hand_over(batch).await?;
        }
        Ok(behind)
    }

    async fn hand_over(&mut self, batch: &[Delivery]) -> Result<(), Interrupted> {
        let done = self.scribe.write(batch).await?;
        Ok(self.streams.done(&done).await?)
    }
}

enum Interrupted {
    Redis(RedisError),
    Stopped,
}

impl From<RedisError> for Interrupted {
    fn from(error: RedisError) -> Self {
        Self::Redis(error)
    }
}

impl From<Stopped> for Interrupted {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}
