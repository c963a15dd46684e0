//! Shared state in Redis 7 or later: one server, one with Sentinels, or a Redis Cluster.
//!
//! [`RedisNode`] is what a node uses, [`RedisQueue`] what a worker uses. Each of a node's [`link`]s is a connection that carries commands
//! and, as RESP3 pushes, what other nodes say: so a push that was sent before a reply is handed over before it. [`push`] is where pushes
//! arrive, [`store`] where decisions leave; [`membership`] knows which nodes live. Keys and channels: [`Layout`].

mod answer;
mod clock;
mod codes;
mod commit;
mod connector;
mod feed;
mod keep_link;
mod layout;
mod link;
mod membership;
mod node;
mod probe;
mod push;
mod queue;
mod quota;
mod reply;
mod retained;
mod scripts;
mod signals;
mod store;

pub use connector::{Connector, ConnectorError, Wire};
pub use layout::Layout;
pub use node::{RedisNode, RedisParts};
pub use queue::RedisQueue;
