//! A client of either generation, as it behaves in the field: it comes back after every end of its socket, with RESUME where it can.

#[expect(clippy::module_inception, reason = "the noun of this module")]
mod client;
mod hear;
mod over;
mod word;

pub use self::client::{Client, Order};
