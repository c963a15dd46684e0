//! The benchmark: tandem, alone and as a cluster, beside a bare relay and other servers, under the same load in turns.

mod changes;
mod joins;
mod options;
mod run;

pub(crate) use options::Options;
pub(crate) use run::run;
