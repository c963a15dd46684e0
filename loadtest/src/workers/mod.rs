//! The processes that make the load, each with a share of the rooms.

mod child;
mod pool;

pub(crate) use child::serve;
pub(crate) use pool::{WorkerOptions, Workers};
