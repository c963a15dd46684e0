//! The comparison: tandem, alone and as a cluster, and the bare relay on the same machine, under the same load, in turns.

pub(crate) mod cluster;
mod options;
mod run;

pub(crate) use options::Options;
pub(crate) use run::run;
