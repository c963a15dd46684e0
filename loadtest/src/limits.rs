//! The limit of open files: each socket is one.

use anyhow::{Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files a process needs besides its sockets.
const SPARE: u64 = 100;

/// Raises the soft limit of open files to the hard limit; child processes inherit it.
pub(crate) fn raise_open_files() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // If that fails, `check_open_files` reports it when it matters.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// Refuses more sockets than the limit allows.
pub(crate) fn check_open_files(sockets: u32) -> Result<()> {
    let needed = u64::from(sockets) + SPARE;
    if let Some(limit) = getrlimit(Resource::Nofile).current {
        ensure!(
            needed <= limit,
            "{sockets} sockets need {needed} open files, but a process may open {limit}: raise `ulimit -Hn`, or share \
             them among several processes with --processes (idle, control, limit)"
        );
    }
    Ok(())
}
