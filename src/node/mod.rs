//! The composition root: it builds, runs and drains a node. Only this module and `cli` know every part.

mod agent;
mod build;
mod drain;
mod error;
mod files;
mod last_resort;
mod lookup;
mod pressure;
mod reload;
mod revocations;
mod secret;
mod stores;
mod timekeeper;

pub use agent::{AgentParts, ClusterAgent};
pub use build::Node;
pub use error::NodeError;
pub use reload::{Change, Reread, Settings};
pub(crate) use secret::load as load_secret;
