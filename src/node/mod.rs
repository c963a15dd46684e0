//! The composition root: builds a node, runs it, drains it. The only place that knows every part.

mod build;
mod drain;
mod error;
mod files;
mod keeper;
mod lookup;
mod secret;
mod state;
mod timekeeper;

pub use build::Node;
pub use error::NodeError;
