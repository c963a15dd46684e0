use std::{sync::Arc, time::Duration};

use tokio::time::sleep;

use crate::{
    backend::{Backend, BackendError, LogPosition},
    clock::{Clock, Millis},
    socket::Registry,
    telemetry::Metrics,
    token::Revoked,
};

/// Interval of looks. A revocation is to be known everywhere within a second.
const LOOK: Duration = Duration::from_millis(400);
/// The same before the first look that succeeds: those who come in wait for it.
const FIRST_LOOK: Duration = Duration::from_millis(50);
/// How often what is over is forgotten, in ms.
const FORGET_EVERY: Millis = 60_000;

/// Learns what is revoked, and has the sockets look at their tokens when there is something new.
pub(super) struct RevocationWatch {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) revoked: Arc<Revoked>,
    pub(super) registry: Arc<Registry>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) clock: Clock,
    /// What has been read of the log.
    pub(super) position: LogPosition,
}

impl RevocationWatch {
    /// Looks regularly. While shared state is away, what is known holds. Does not return.
    pub(super) async fn run(mut self) {
        let (mut forgotten, mut failing) = (self.clock.now(), false);
        loop {
            let looked = self.look().await;
            match &looked {
                // The link to Redis logs its own.
                Err(error @ BackendError::File(_)) if !failing => {
                    tracing::error!(%error, "what was revoked cannot be read; what is known holds");
                }
                Ok(()) if failing => tracing::info!("what was revoked can be read again"),
                _ => {}
            }
            failing = matches!(looked, Err(BackendError::File(_)));
            let now = self.clock.now();
            if now.saturating_sub(forgotten) >= FORGET_EVERY {
                forgotten = now;
                let known = self.revoked.forget(now);
                self.metrics.revocations.set(i64::try_from(known).unwrap_or(i64::MAX));
            }
            sleep(if self.revoked.is_read() { LOOK } else { FIRST_LOOK }).await;
        }
    }

    /// Reads what is new. What was read before an error counts.
    async fn look(&mut self) -> Result<(), BackendError> {
        let now = self.clock.now();
        loop {
            let page = self.backend.revocations(self.position).await?;
            if !page.continues {
                self.put_back(now).await?;
                continue;
            }
            if page.position == self.position {
                break;
            }
            self.position = page.position;
            let new = page.revocations.len();
            for revocation in page.revocations {
                if let Err(error) = self.revoked.add(revocation, now) {
                    tracing::error!(%error, "a revocation was not taken in");
                }
            }
            let known = self.revoked.all().len();
            self.metrics.revocations.set(i64::try_from(known).unwrap_or(i64::MAX));
            tracing::info!(new, "tokens were revoked");
            self.registry.check_tokens();
        }
        self.revoked.set_read();
        Ok(())
    }

    /// Shared state no longer has what this node has read last: it was forgotten because it was over, or it was lost, as after the failover to
    /// a replica that lagged. What holds is put back, and read again.
    async fn put_back(&mut self, now: Millis) -> Result<(), BackendError> {
        self.revoked.forget(now);
        let known = self.revoked.all();
        if !known.is_empty() {
            tracing::warn!(
                revocations = known.len(),
                "shared state has lost revocations, and gets those that this node knows"
            );
            self.backend.revoke(&known, now).await?;
        }
        self.position = LogPosition::default();
        Ok(())
    }
}
