//! Open file limit: one socket is one file.

use anyhow::{Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files a process needs besides its sockets.
const SPARE: u64 = 100;

/// Raises the soft limit of open files to the hard one; children inherit it.
pub(crate) fn raise_open_files() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Not being allowed to is no fault: `check_open_files` says so when it matters.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// Refuses a number of sockets that the limit does not allow.
pub(crate) fn check_open_files(sockets: u32) -> Result<()> {
    let needed = u64::from(sockets) + SPARE;
    if let Some(limit) = getrlimit(Resource::Nofile).current {
        ensure!(needed <= limit, "{sockets} sockets need {needed} open files, the limit is {limit} (see `ulimit -Hn`)");
    }
    Ok(())
}
