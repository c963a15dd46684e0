//! The processes that make the load: this one alone, or several others, each with a share of the rooms.

mod child;
mod local;
mod pool;
mod protocol;

pub(crate) use child::serve;
pub(crate) use pool::{WorkerOptions, Workers};

use local::Local;
use protocol::{Answer, Request};
