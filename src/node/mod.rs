//! The composition root: builds a node, runs it, drains it. The only place that knows every part.

mod agent;
mod build;
mod drain;
mod error;
mod files;
mod lookup;
mod secret;
mod state;
mod timekeeper;

pub use agent::{AgentParts, ClusterAgent};
pub use build::Node;
pub use error::NodeError;
