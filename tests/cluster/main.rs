//! Clusters of real processes over a real Redis and PostgreSQL, which are killed, paused and cut off.
//! Tests of rooms on any number of nodes are in `tests/it/rooms`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::similar_names,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    clippy::float_cmp,
    missing_docs,
    unreachable_pub
)]

mod clocks;
mod crowd;
mod degraded;
mod deployment;
mod drain;
mod edge;
mod faults;
mod full;
mod inspect;
mod libraries;
mod metrics;
mod neighbour;
mod nodes;
mod pins;
mod proxy_protocol;
mod queue_share;
mod readme;
mod refusals;
mod restore;
mod revocation;
mod rights;
mod rotation;
mod stage;
mod timers;

use tandem_testkit::backing;
