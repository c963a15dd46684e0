use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result};
use tokio::{task::AbortHandle, time::sleep};

use crate::{http, servers::Deployment};

/// How often the outboxes are looked at.
const EVERY: Duration = Duration::from_millis(250);

/// Looks at the outboxes of a node until it is dropped.
#[derive(Debug)]
pub(super) struct Watch {
    most: Arc<AtomicU64>,
    task: AbortHandle,
}

impl Watch {
    pub(super) fn start(deployment: &Deployment) -> Result<Self> {
        let target = *deployment.targets().first().context("there is no node")?;
        let most = Arc::<AtomicU64>::default();
        let task = tokio::spawn(look(target, Arc::clone(&most))).abort_handle();
        Ok(Self { most, task })
    }

    /// The most bytes that waited in all outboxes together.
    pub(super) fn most(&self) -> f64 {
        f64::from(u32::try_from(self.most.load(Ordering::Relaxed)).unwrap_or(u32::MAX))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn look(target: SocketAddr, most: Arc<AtomicU64>) {
    loop {
        sleep(EVERY).await;
        // An answer that does not come in time is no reason to end the run: others' messages are what is judged.
        let Ok((_, text)) = http::get(target, "/metrics").await else { continue };
        if let Some(bytes) = http::metric(&text, "tandem_outbox_bytes") {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a gauge of bytes")]
            most.fetch_max(bytes as u64, Ordering::Relaxed);
        }
    }
}
