//! Shared state in Redis 7 or later: one server, one with Sentinels, or a Redis Cluster.
//!
//! [`RedisNode`] is the back end of one node. Each of its [`link`]s is a connection that carries commands and, as RESP3 pushes, what
//! other nodes say: so a push that was sent before a reply is handed over before it. [`hear`] is where pushes arrive, [`commit`] where
//! decisions leave; [`census`] knows which nodes live. Keys and channels: [`crate::shared::Layout`].

mod answer;
mod census;
mod codec;
mod commit;
mod hear;
mod keep_link;
mod link;
mod node;
mod probe;
mod quota;
mod retained;
mod signal;

pub use census::{Backlog, Renewal};
pub use node::{RedisNode, RedisParts, StartError};
