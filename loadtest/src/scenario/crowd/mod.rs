//! Many sockets: what they cost while nobody does anything, and whether all come back when nodes and Redis fail.

mod options;
mod progress;
mod run;
mod trouble;

pub(crate) use options::Options;
pub(crate) use run::run;
