//! What the servers of a test stand on: nothing, or a Redis of their own. `TEST_NODES=2` chooses the second, so that the tests of rooms
//! (`tests/it/rooms`) run once more with their clients spread over the nodes of a cluster.

use redis::{AsyncConnectionConfig, aio::MultiplexedConnection};
use serde_json::{Value, json};
use tandem::backend::{Layout, records::decode_entry};

use crate::{process::DEADLINE, redis::Redis};

pub const SECRET: &str = "the secret of a cluster under test";
/// A port without a listener: nodes do not need the database of the ledger.
pub const NO_DATABASE: &str = "postgres://tandem@127.0.0.1:1/tandem";

pub enum Backing {
    /// One node, which keeps everything itself.
    Alone,
    /// Several nodes. The ledger's entries are read from the streams of their Redis, so that no worker is needed.
    Cluster(Redis),
}

/// Processes that a [`crate::TestApp`] is made of. Clients connect to one after the other.
pub fn nodes() -> usize {
    std::env::var("TEST_NODES").map_or(1, |count| count.parse().expect("TEST_NODES is a number"))
}

/// Settings of how a node looks at tokens: `TEST_AUTH_MODE=mixed` shows that clients without one are served as in open mode.
pub fn tokens() -> Vec<(&'static str, String)> {
    let Ok(mode) = std::env::var("TEST_AUTH_MODE") else { return Vec::new() };
    vec![("AUTH_MODE", mode), ("AUTH_KEYS", "nobody=HS256:a-key-that-no-client-of-the-test-has".to_owned())]
}

impl Backing {
    pub fn start() -> Self {
        if nodes() == 1 { Self::Alone } else { Self::Cluster(Redis::start()) }
    }

    /// Settings that it asks for.
    pub fn env(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Alone => Vec::new(),
            Self::Cluster(redis) => vec![
                ("REDIS_URL", redis.url()),
                ("TANDEM_SECRET", SECRET.to_owned()),
                ("DATABASE_URL", NO_DATABASE.to_owned()),
            ],
        }
    }

    /// The events of the ledger where it is not the server's own.
    pub async fn events(&self) -> Option<Vec<Value>> {
        match self {
            Self::Alone => None,
            Self::Cluster(redis) => Some(events(&mut connect(&redis.url()).await).await),
        }
    }
}

pub async fn connect(url: &str) -> MultiplexedConnection {
    let client = redis::Client::open(url).unwrap();
    let config =
        AsyncConnectionConfig::new().set_connection_timeout(Some(DEADLINE)).set_response_timeout(Some(DEADLINE));
    client.get_multiplexed_async_connection_with_config(&config).await.unwrap()
}

/// The entries in the streams, in the form of `tandem audit events`.
pub async fn events(redis: &mut MultiplexedConnection) -> Vec<Value> {
    let layout = Layout::new("tandem:", 16);
    let mut rows = Vec::new();
    for partition in 0..layout.partitions() {
        type Fields = Vec<(String, Vec<u8>)>;
        let range: Vec<(String, Fields)> =
            redis::cmd("XRANGE").arg(layout.events(partition)).arg("-").arg("+").query_async(redis).await.unwrap();
        for (_, fields) in range {
            let entry = decode_entry(&fields[0].1).unwrap();
            rows.extend(entry.events().into_iter().map(|event| {
                (
                    event.at,
                    json!({
                        "id": event.id, "created_at": event.at, "room_id": event.room, "event_type": event.kind,
                        "user_id": event.user, "data": event.data, "epoch": event.epoch, "version": event.version,
                        "node_id": event.node,
                    }),
                )
            }));
        }
    }
    rows.sort_by_key(|(at, row)| (*at, row["epoch"].as_u64(), row["version"].as_u64()));
    rows.into_iter().map(|(_, row)| row).collect()
}
