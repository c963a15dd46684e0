//! Budgets that take time as an argument, and the share of what is scarce.

mod bucket;
mod client;
mod share;
mod throttle;

pub use bucket::Bucket;
pub use client::Client;
pub use share::{least, share};
pub use throttle::Throttle;
