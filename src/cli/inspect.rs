use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use super::USAGE;
use crate::{
    backend::{Connector, Inspector, Layout},
    config::RedisConfig,
    id::RoomId,
};

#[derive(Debug, Args)]
pub(super) struct Inspect {
    #[command(flatten)]
    redis: RedisConfig,
    /// Name of a key, such as tandem:{3}:history:film; may be given several times
    #[arg(required_unless_present = "room")]
    key: Vec<String>,
    /// Id of a room to print; may be given several times
    #[arg(long)]
    room: Vec<String>,
    /// Maximum number of elements of a list, a set or a stream
    #[arg(long, default_value_t = 100)]
    limit: usize,
}

impl Inspect {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        if !self.redis.is_given() {
            eprintln!("tandem: REDIS_URL or REDIS_HOST is needed: a single node has no keys");
            return Ok(ExitCode::from(USAGE));
        }
        let connector = Connector::new(&self.redis)?;
        let layout = Layout::new(&self.redis.redis_prefix, self.redis.redis_partitions).on(connector.db());
        let mut keys = self.key;
        for room in &self.room {
            keys.push(layout.room(&RoomId::parse(room).with_context(|| format!("the id of the room {room:?}"))?));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut inspector = Inspector::connect(&connector, layout, self.limit)
                .await
                .with_context(|| format!("cannot reach Redis at {}", connector.at()))?;
            for key in &keys {
                let content = inspector.key(key).await.with_context(|| format!("cannot show {key}"))?;
                println!("{}", serde_json::to_string_pretty(&content)?);
            }
            Ok(ExitCode::SUCCESS)
        })
    }
}
