//! Properties of the pure core: whatever is asked of a room, in whatever order, these hold.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub
)]

mod properties;
mod rules;
mod world;
