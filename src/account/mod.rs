//! What each client address, and each user whom a token names, uses of a node, and how much it may.
//!
//! A client has one account, whatever the number of its sockets ([`crate::limit::Client`]: an IPv4 address, or the /64 of an IPv6 address). There are two
//! rules: a *share* ([`crate::limit::share`]) of what is scarce, once more than half of it is in use; and absolute *caps* by setting ([`crate::config::Caps`]).

#[expect(clippy::module_inception, reason = "the noun of this module")]
mod account;
mod accounts;
mod ledger_queue;
mod live_caps;

pub use account::{Account, Hold};
pub use accounts::{Accounts, Exceeded, Load, Of};
pub use ledger_queue::LedgerLoad;
