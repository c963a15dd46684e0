//! How the state that nodes share is reached: a [`Connector`] for Redis in its three shapes, and the [`Layout`] of its keys.

mod clock;
mod connector;
mod layout;

pub use clock::clock_script;
pub use connector::{Connector, SharedError, Wire};
pub use layout::Layout;
