//! How the state that nodes share is reached: a [`Connector`] for Redis in its three shapes, and the [`Layout`] of its keys.

mod connector;
mod layout;

pub use connector::{Connector, SharedError, Wire};
pub use layout::Layout;
