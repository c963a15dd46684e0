//! Clusters of real processes over a real Redis and PostgreSQL, which are killed, paused and cut off.
//!
//! The modules of `tests/it` that speak of rooms, and not of a single process, run here once more: their clients are spread over two
//! nodes, one after the other, and nothing about them may differ.
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
    dead_code,
    missing_docs,
    unreachable_pub
)]

mod backing;
mod clocks;
mod crowd;
mod degraded;
mod deployment;
mod drain;
mod edge;
mod faults;
mod full;
#[path = "../kit/mod.rs"]
mod kit;
mod metrics;
mod nodes;
mod refusals;
mod restore;
mod rights;
mod rotation;
mod stage;
#[path = "../it/support/mod.rs"]
mod support;
mod timers;

#[path = "../it/control.rs"]
mod control;
#[path = "../it/cures.rs"]
mod cures;
#[path = "../it/directed.rs"]
mod directed;
#[path = "../it/extension/mod.rs"]
mod extension;
#[path = "../it/gate.rs"]
mod gate;
#[path = "../it/party.rs"]
mod party;
#[path = "../it/pin.rs"]
mod pin;
#[path = "../it/protocol.rs"]
mod protocol;
#[path = "../it/resume.rs"]
mod resume;
#[path = "../it/seats.rs"]
mod seats;
#[path = "../it/waiting.rs"]
mod waiting;
