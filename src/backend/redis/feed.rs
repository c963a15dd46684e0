//! The node's end of the ledger queue: its backlog, and entries that Redis lost.

use async_trait::async_trait;
use futures_util::future::try_join_all;
use redis::FromRedisValue as _;

use super::{
    node::RedisNode,
    quota::Memory,
    retained::StreamId,
    weigh::{Weighed, weight},
};
use crate::backend::{BackendError, Backlog, LedgerFeed};

/// Maximum number of entries that are appended at once.
const BATCH: usize = 500;

#[async_trait]
impl LedgerFeed for RedisNode {
    async fn poll_backlog(&self) -> Result<Backlog, BackendError> {
        let Some(retained) = &self.retained else { return Ok(Backlog::default()) };
        let mut backlog = self.measure_ledger().await?;
        for partition in 0..self.layout.partitions() {
            let (link, events) = (self.link_of(partition), self.layout.events(partition));
            let generation = link.up_generation();
            let last = retained.last(partition);
            let mut range = redis::cmd("XRANGE");
            range.arg(&events).arg("-").arg("+").arg("COUNT").arg(1);
            let first: redis::Value = link.ask(&range).await?;
            // A stream that Redis has just lost is empty, too; its entries are appended again before the link is up.
            if generation.is_none() || generation != link.up_generation() {
                continue;
            }
            match (first_id(&first), last) {
                (Some(first), _) => {
                    retained.trim_acked(partition, first);
                    backlog.entries += link.ask::<u64>(redis::cmd("XLEN").arg(&events)).await?;
                }
                // The stream is empty: the workers have taken everything that was in it.
                (None, Some(last)) => retained.trim_acked(partition, StreamId(last.0, last.1.saturating_add(1))),
                (None, None) => {}
            }
        }
        backlog.own = retained.size();
        Ok(backlog)
    }
}

impl RedisNode {
    /// Measures the memory of the streams, and divides the rest of the quota.
    pub(super) async fn measure_ledger(&self) -> Result<Backlog, BackendError> {
        let weighed = try_join_all((0..self.layout.partitions()).map(|partition| self.weigh(partition))).await?;
        let taken: Vec<u64> = weighed.iter().map(|(bytes, _)| *bytes).collect();
        let memory = weighed.first().map(|(_, memory)| *memory).unwrap_or_default();
        let most_bytes = self.quota.divide(memory, &taken);
        Ok(Backlog { bytes: taken.iter().sum(), most_bytes, ..Backlog::default() })
    }

    /// The bytes of a stream; with those of the first one, also the memory of Redis.
    async fn weigh(&self, partition: u16) -> Result<(u64, Memory), BackendError> {
        let mut call = self.scripts.weigh.key(self.layout.events(partition));
        call.arg(u8::from(partition == 0)).arg(u8::from(self.cluster));
        let weighed: Weighed = self.link_of(partition).invoke(&call).await?;
        Ok(weight(&weighed))
    }

    /// Appends the entries of this node again that Redis has lost.
    pub(super) async fn append_lost(&self, partition: u16) -> Result<(), BackendError> {
        let Some(retained) = &self.retained else { return Ok(()) };
        let mut again = 0;
        for batch in retained.all(partition).chunks(BATCH) {
            let calls = batch.iter().map(|(id, entry)| self.append_once(partition, *id, entry));
            for ((id, _), now) in batch.iter().zip(try_join_all(calls).await?) {
                if let Some(now) = now.filter(|now| now != id) {
                    retained.moved(partition, *id, now);
                    again += 1;
                }
            }
        }
        if again > 0 {
            tracing::info!(partition, entries = again, "entries of the ledger were appended again");
        }
        Ok(())
    }

    /// Appends an entry unless it is there, and returns its id.
    async fn append_once(&self, partition: u16, id: StreamId, entry: &[u8]) -> Result<Option<StreamId>, BackendError> {
        let mut call = self.scripts.append.key(self.layout.events(partition));
        let now: String = self.link_of(partition).invoke(call.arg(id.to_string()).arg(entry)).await?;
        Ok(StreamId::parse(&now))
    }
}

/// The id of the first entry of an answer to XRANGE.
fn first_id(answer: &redis::Value) -> Option<StreamId> {
    let redis::Value::Array(entries) = answer else { return None };
    let redis::Value::Array(entry) = entries.first()? else { return None };
    StreamId::parse(&String::from_redis_value_ref(entry.first()?).ok()?)
}
