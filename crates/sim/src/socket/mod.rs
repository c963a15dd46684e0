//! A socket without a network: the node's end is the real connection, on a [`Transport`](tandem::socket::Transport) that takes its time.

mod line;
mod pipe;
#[expect(clippy::module_inception, reason = "the noun of this module")]
mod socket;

pub use self::socket::{Inward, Socket, parse};
