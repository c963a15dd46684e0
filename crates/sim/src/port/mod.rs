//! The back end of a node: what `backend/redis` is in production, on the network of [`crate::bus`].

mod ledger_feed;
mod link;
mod membership;
#[expect(clippy::module_inception, reason = "the noun of this module")]
mod port;
mod room_store;
mod short_codes;
mod signal_bus;
mod token_store;
mod up;

pub use self::port::Port;
