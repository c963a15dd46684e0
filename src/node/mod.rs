//! The composition root: builds a node, runs it, drains it. The only place that knows every part.

mod build;
mod drain;
mod secret;

pub use build::{Node, NodeError};
