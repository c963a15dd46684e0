//! Budgets that take time as an argument.

mod bucket;
mod throttle;

pub use bucket::Bucket;
pub use throttle::Throttle;
