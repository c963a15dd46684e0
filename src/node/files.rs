/// Open files reserved for everything but WebSockets: HTTP, Redis, the ledger, and the process itself.
const SPARE: usize = 256;
/// The reserved files that are not for HTTP.
const OWN: usize = 64;

/// The division of the limit of open files. Each connection takes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Files {
    /// Maximum number of WebSockets.
    pub(super) sockets: usize,
    /// Maximum number of HTTP connections.
    pub(super) http: usize,
}

impl Files {
    /// Raises the limit of open files to its maximum, because most systems start a process with 1,024, and divides it. `sockets` is
    /// `MAX_CONNECTIONS`; each client may have an HTTP connection, too.
    pub(super) fn raise_limit(sockets: usize) -> Self {
        let wanted = sockets.saturating_mul(2).saturating_add(SPARE);
        let limit = rlimit::increase_nofile_limit(wanted as u64).or_else(|error| {
            tracing::warn!(%error, "the limit of open files could not be raised (ulimit -n)");
            rlimit::getrlimit(rlimit::Resource::NOFILE).map(|(limit, _)| limit)
        });
        let limit = limit.map_or(wanted, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let files = Self::share(limit, sockets);
        if files.sockets < sockets {
            tracing::warn!(
                limit,
                MAX_CONNECTIONS = sockets,
                connections = files.sockets,
                "MAX_CONNECTIONS needs more open files than are allowed (ulimit -n); fewer WebSockets are admitted"
            );
        }
        files
    }

    fn share(limit: usize, sockets: usize) -> Self {
        let spare = SPARE.min(limit / 4);
        let sockets = sockets.min(limit - spare).max(1);
        let http = limit.saturating_sub(sockets).saturating_sub(OWN.min(spare / 2)).max(1);
        Self { sockets, http }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_are_always_kept_back() {
        for (limit, wanted, sockets, http) in [
            (400, 50_000, 300, 50),
            (1_024, 50_000, 768, 192),
            (1_024, 100, 100, 860),
            (50_256, 50_000, 50_000, 192),
            (100_256, 50_000, 50_000, 50_192),
            (0, 10, 1, 1),
        ] {
            assert_eq!(Files::share(limit, wanted), Files { sockets, http }, "{limit} for {wanted}");
        }
    }
}
