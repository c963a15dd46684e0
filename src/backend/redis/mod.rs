//! Shared state in Redis 7 or later: one server, one with Sentinels, or a Redis Cluster.
//!
//! [`RedisNode`] is used by nodes, [`RedisQueue`] by workers. Each [`link`] of a node is a connection that carries commands and, as RESP3
//! pushes, messages of other nodes; pushes and replies are handled in the order in which Redis sent them. [`push`] handles incoming
//! messages, [`store`] commits, [`membership`] knows which nodes live, and [`Layout`] names keys and channels.

mod ack;
mod answer;
mod clock;
mod codes;
mod commit;
mod connection;
mod connector;
mod feed;
mod inspect;
mod layout;
mod link;
mod maintain_link;
mod membership;
mod node;
mod probe;
mod push;
mod queue;
mod quota;
mod remains;
mod reply;
mod retained;
mod revocation_log;
mod scripts;
mod seat_check;
mod servers;
mod signals;
mod store;
mod tokens;
mod weigh;

pub use connection::RedisConnection;
pub use connector::{Connector, ConnectorError};
pub use inspect::{InspectError, Inspector};
pub use layout::Layout;
pub use node::{RedisNode, RedisParts};
pub use queue::RedisQueue;
pub use remains::{Remains, Standing};
pub use revocation_log::{RevocationLog, RevokeError};
