//! Simulates whole clusters in one thread on virtual time. Everything follows from one seed.
//!
//! This is how others do it, and what was taken from them:
//!
//! - FoundationDB runs a whole cluster in one process and one thread, and only replaces network, disk, clock and randomness. So does this.
//! - TigerBeetle's VOPR replaces what replicas talk through, keeps what was acknowledged, and has a checker compare replicas. Nodes of tandem
//!   talk through [`tandem::backend::Cluster`], so that trait is where the network is replaced ([`port`]), and [`judge`] is the checker.
//! - `turmoil` runs hosts on tokio's paused clock. Virtual time is that clock, so hub, cluster agent and worker run unchanged; turmoil itself replaces TCP,
//!   which says nothing of what Redis does with it, so it is not used.
//! - `madsim` replaces tokio under a `cfg`, which would be another build of everything, and it replaces the C library's `getrandom`. Only the
//!   latter is done here ([`chance`]).
//!
//! [`plan`] draws a story, [`world`] plays it, [`record`] is what happened, [`judge`] says what was wrong with it, [`shrink`] makes it smaller, and
//! [`coverage`] says which frames have met which faults.
#![allow(missing_docs, reason = "a tool of this repository")]
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a broken simulation is to stop")]

pub mod bus;
pub mod chance;
pub mod client;
pub mod coverage;
pub mod gate;
pub mod judge;
pub mod node;
pub mod plan;
pub mod port;
pub mod queue;
pub mod record;
pub mod shrink;
pub mod socket;
pub mod store;
pub mod world;
