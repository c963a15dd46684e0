//! Black-box tests: every test starts the real binary on a port and a data directory of its own and talks to it over
//! WebSocket, HTTP, signals and the command line. Every frame that any test receives is checked against
//! `schema/frames.schema.json`, and its version against the order that docs/protocol.md promises.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::float_cmp,
    missing_docs,
    unreachable_pub
)]

mod accounts;
mod answers;
mod audit;
mod badinput;
mod cli;
mod doors;
mod every_frame;
mod forget;
mod fuzz;
mod histories;
mod http;
mod invitations;
mod ledger;
mod lifecycle;
mod limits;
mod logs;
mod metrics;
mod metrics_table;
mod privacy;
mod reload;
mod revocation;
mod rooms;
mod schema;
mod tokens;
mod transcript;
mod users;
