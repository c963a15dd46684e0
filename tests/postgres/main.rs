//! The ledger of a cluster, from outside: the real binary (`tandem worker`, `migrate`, `audit`) between a real Redis, which the tests
//! fill as nodes would, and a real PostgreSQL.
#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    clippy::cast_precision_loss,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub
)]

mod audit;
mod cores;
mod cost;
mod delivery;
mod entries;
mod forget;
mod jobs;
mod migrate;
mod outages;
mod poison;
mod pooler;
mod projection;
mod round;
mod speed;
mod support;
mod tls;
mod unfit;
mod usable;
