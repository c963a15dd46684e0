//! Budgets that take time as an argument.

mod bucket;
mod client;
mod throttle;

pub use bucket::Bucket;
pub use client::Client;
pub use throttle::Throttle;
