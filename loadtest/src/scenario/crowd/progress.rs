use std::{convert::Infallible, net::SocketAddr, time::Duration};

use futures_util::future::join_all;
use tokio::time::sleep;

use crate::{http, progress::step, units::grouped};

/// Interval of looks. It grows while nothing changes: nodes that are measured at rest should not be asked.
const EVERY: Duration = Duration::from_secs(5);

const RARELY: Duration = Duration::from_mins(2);

/// Says how many sockets are open while something goes on.
pub(super) async fn watched<T>(targets: &[SocketAddr], work: impl Future<Output = T>) -> T {
    tokio::select! {
        done = work => done,
        never = watch(targets) => match never {},
    }
}

async fn watch(targets: &[SocketAddr]) -> Infallible {
    let (mut last, mut wait) = (0, EVERY);
    loop {
        sleep(wait).await;
        let open: u64 = join_all(targets.iter().map(|target| connections(*target))).await.into_iter().sum();
        wait = if open == last { (wait * 4).min(RARELY) } else { EVERY };
        last = open;
        step(&format!("  {} sockets are open", grouped(open)));
    }
}

/// The open sockets of a node; none if it does not answer.
async fn connections(target: SocketAddr) -> u64 {
    let Ok((_, text)) = http::get(target, "/metrics").await else { return 0 };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
    http::metric(&text, "tandem_connections").map_or(0, |open| open as u64)
}
