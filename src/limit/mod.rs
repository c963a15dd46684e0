//! How much anybody may ask for.

mod bucket;
mod pins;

pub use bucket::Bucket;
pub use pins::PinThrottle;
