//! Rooms on several nodes over a store that delays, drops, repeats, reorders and forgets. The promises of `docs/protocol.md` hold.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub
)]

mod bench;
mod client;
mod driver;
mod fault;
mod judge;
mod name;
mod node;
mod op;
mod seats;
mod store;
mod stories;
mod turns;
mod unreadable;
mod world;
