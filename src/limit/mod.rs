//! How much anybody may ask for.

mod bucket;
mod throttle;

pub use bucket::Bucket;
pub use throttle::Throttle;
