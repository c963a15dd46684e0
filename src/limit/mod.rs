//! Budgets that take time as an argument, and the share of what is scarce.

mod bucket;
mod client;
mod entries;
mod share;
mod throttle;

pub use bucket::Bucket;
pub use client::Client;
pub use entries::Entries;
pub use share::{least, share};
pub use throttle::Throttle;
