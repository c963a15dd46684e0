//! Properties of the pure core: these hold for all commands, in any order.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub
)]

mod grants;
mod invitations;
mod moderation;
mod properties;
mod rules;
mod shares;
mod world;
