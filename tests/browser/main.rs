//! The page in real browsers: several Chromium processes, one server, the `DevTools` protocol in between.
//!
//! Needs Chromium (`apt-get install chromium`, or `CHROMIUM=/path/to/it`); without one the tests fail, they are never
//! skipped. `SCREENSHOTS=dir cargo test --test browser screenshots -- --ignored` takes the pictures for the README.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub
)]

mod audit;
mod cameras;
mod cdp;
mod chromium;
mod departure;
mod edge;
mod entry;
mod extension_settings;
mod file;
mod ice;
mod moderation;
mod page;
mod party;
mod playback;
mod process;
mod reconnect;
mod screenshots;
mod server;
mod tls;
mod wire;
