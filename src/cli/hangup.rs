use tokio::signal::unix::{SignalKind, signal};

/// Ignores SIGHUP from now on, with a line in the log. Otherwise a node that loses its terminal, or is asked to reload, would end at once,
/// without a drain.
pub(super) fn ignore_hangups() -> std::io::Result<()> {
    let mut hangups = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        while hangups.recv().await.is_some() {
            tracing::info!("SIGHUP: a certificate is read again, settings only when the process starts");
        }
    });
    Ok(())
}
