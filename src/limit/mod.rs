//! How much anybody may ask for.

mod bucket;

pub use bucket::Bucket;
