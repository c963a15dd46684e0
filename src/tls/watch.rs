use std::{sync::Arc, time::Duration};

use tokio::{signal::unix::Signal, task::spawn_blocking, time::sleep};

use super::{
    PairError, Tls,
    pair::{Fingerprint, Pair},
};
use crate::telemetry::TlsReload;

/// How often the files are read. A change is known by what they hold: no event comes from a file system of the network, and with links to
/// links, as Kubernetes has them, none from the file itself.
const EVERY: Duration = Duration::from_secs(2);

/// What a look at the files found.
struct Found {
    contents: Option<Fingerprint>,
    /// `None` if it is the pair in use.
    pair: Result<Option<Pair>, PairError>,
}

/// What is known of the files.
struct Watch {
    /// What they held when the pair in use was read.
    used: Fingerprint,
    bad: Option<Bad>,
}

/// Contents that cannot be used.
struct Bad {
    contents: Option<Fingerprint>,
    why: String,
    told: bool,
}

impl Tls {
    /// Looks after the files for as long as the node runs, and at once whenever `hangups` comes.
    pub async fn watch(self: Arc<Self>, mut hangups: Signal) {
        let mut watch = Watch { used: self.first, bad: None };
        loop {
            tokio::select! {
                () = sleep(EVERY) => {}
                _ = hangups.recv() => {}
            }
            let (tls, used) = (Arc::clone(&self), watch.used);
            // Only a panic ends it otherwise, and that is in the log.
            if let Ok(found) = spawn_blocking(move || tls.look(used)).await {
                watch.judge(&self, found);
            }
        }
    }

    fn look(&self, used: Fingerprint) -> Found {
        let contents = match self.files.read() {
            Ok(contents) => contents,
            Err(error) => return Found { contents: None, pair: Err(error) },
        };
        let fingerprint = contents.fingerprint();
        let pair = if fingerprint == used { Ok(None) } else { self.usable(contents.parse(&self.files)).map(Some) };
        Found { contents: Some(fingerprint), pair }
    }

    /// A pair that has expired takes the place of none.
    fn usable(&self, pair: Result<Pair, PairError>) -> Result<Pair, PairError> {
        let pair = pair?;
        if self.has_expired(&pair) { Err(PairError::Expired { file: self.files.certificate_name() }) } else { Ok(pair) }
    }
}

impl Watch {
    fn judge(&mut self, tls: &Tls, Found { contents, pair }: Found) {
        let error = match pair {
            Ok(None) => return self.bad = None,
            Ok(Some(pair)) => {
                tracing::info!(expires = pair.expires, "the certificate was replaced; open connections stay");
                tls.replace(pair);
                self.used = contents.unwrap_or(self.used);
                return self.bad = None;
            }
            Err(error) => error,
        };
        let why = error.to_string();
        match &mut self.bad {
            Some(bad) if bad.contents == contents && bad.why == why => {
                if !bad.told {
                    bad.told = true;
                    tls.metrics.reloads.inc(TlsReload::Refused);
                    tracing::error!(%error, "the new certificate cannot be used; the old one stays in use");
                }
            }
            // Two files are not replaced at once: what is bad at the next look, too, is told.
            _ => self.bad = Some(Bad { contents, why, told: false }),
        }
    }
}
