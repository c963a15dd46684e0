use tokio::signal::unix::{SignalKind, signal};

/// SIGHUP does not end the process from now on: otherwise one that loses its terminal, or is asked to reload, would end at once, without a
/// drain. `says` is what the log gets each time.
pub(super) fn ignore_hangups(says: Option<&'static str>) -> std::io::Result<()> {
    let mut hangups = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        while hangups.recv().await.is_some() {
            if let Some(says) = says {
                tracing::info!("SIGHUP: {says}");
            }
        }
    });
    Ok(())
}
