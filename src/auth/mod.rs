//! Secrets: hashes with the deployment's key, and credentials for TURN.

mod keys;
mod turn;

pub(crate) use keys::tidy_code;
pub use keys::{Keys, ResumeToken};
pub use turn::turn_credential;
