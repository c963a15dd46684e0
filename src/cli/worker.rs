use std::process::ExitCode;

use clap::Args;

use super::{environment::Environment, hangup};
use crate::{
    config::{LogConfig, PostgresConfig, RedisConfig, WorkerConfig},
    telemetry,
    worker::{Worker, WorkerSettings},
};

#[derive(Debug, Args)]
pub(super) struct Work {
    /// Address to listen on. :: is every address of IPv6 and IPv4 (of IPv4 alone where there is no IPv6)
    #[arg(long = "host", env = "HOST", default_value = "::")]
    host: String,
    #[command(flatten)]
    redis: RedisConfig,
    #[command(flatten)]
    postgres: PostgresConfig,
    #[command(flatten)]
    worker: WorkerConfig,
    #[command(flatten)]
    log: LogConfig,
}

impl Work {
    pub(super) fn run(self, environment: &Environment) -> anyhow::Result<ExitCode> {
        if !self.redis.is_given() || !self.postgres.is_given() {
            eprintln!("tandem: a worker needs REDIS_URL (or REDIS_HOST) and DATABASE_URL (or POSTGRES_HOST)");
            return Ok(ExitCode::from(super::USAGE));
        }
        telemetry::init_log(&self.log, None)?;
        environment.log();
        let settings =
            WorkerSettings { host: self.host, redis: self.redis, postgres: self.postgres, worker: self.worker };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(async {
            hangup::ignore_hangups(Some("a worker reads its settings when it starts"))?;
            anyhow::Ok(Worker::start(settings).await?.run().await?)
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
