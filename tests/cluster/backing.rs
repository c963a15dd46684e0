//! What the servers of these tests stand on: a Redis of their own. The ledger's entries are read from its streams, so that no worker is needed.

use redis::{AsyncConnectionConfig, aio::MultiplexedConnection};
use serde_json::{Value, json};
use tandem::{ledger::Entry, shared::Layout};

use crate::kit::{process::DEADLINE, redis::Redis};

pub(crate) const SECRET: &str = "the secret of a cluster under test";
/// Nobody listens there: nodes do not need the ledger's database.
pub(crate) const NO_DATABASE: &str = "postgres://tandem@127.0.0.1:1/tandem";

pub(crate) struct Backing {
    redis: Redis,
}

impl Backing {
    /// Processes that a [`crate::support::TestApp`] is made of; clients connect to one after the other.
    pub(crate) const NODES: usize = 2;

    pub(crate) fn start() -> Self {
        Self { redis: Redis::start() }
    }

    /// Settings that it asks for.
    pub(crate) fn env(&self) -> Vec<(&'static str, String)> {
        vec![
            ("REDIS_URL", self.redis.url()),
            ("TANDEM_SECRET", SECRET.to_owned()),
            ("DATABASE_URL", NO_DATABASE.to_owned()),
        ]
    }

    /// The events of the ledger where it is not the server's own.
    pub(crate) async fn events(&self) -> Option<Vec<Value>> {
        Some(events(&mut connect(&self.redis.url()).await).await)
    }
}

pub(crate) async fn connect(url: &str) -> MultiplexedConnection {
    let client = redis::Client::open(url).unwrap();
    let config =
        AsyncConnectionConfig::new().set_connection_timeout(Some(DEADLINE)).set_response_timeout(Some(DEADLINE));
    client.get_multiplexed_async_connection_with_config(&config).await.unwrap()
}

/// What waits in the streams, as `tandem audit events` would list it.
pub(crate) async fn events(redis: &mut MultiplexedConnection) -> Vec<Value> {
    let layout = Layout::new("tandem:", 16);
    let mut rows = Vec::new();
    for partition in 0..layout.partitions() {
        let range: Vec<(String, Vec<(String, String)>)> =
            redis::cmd("XRANGE").arg(layout.events(partition)).arg("-").arg("+").query_async(redis).await.unwrap();
        for (_, fields) in range {
            let entry: Entry = serde_json::from_str(&fields[0].1).unwrap();
            rows.extend(entry.events.into_iter().map(|event| {
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
