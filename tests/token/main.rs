//! Tokens: what is accepted, and a table of attacks, each of which fails if its check is switched off.

#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::unwrap_used,
    unreachable_pub
)]

mod attacks;
mod claims;
mod cli;
mod invitations;
mod jwks;
mod keys;
mod server;
