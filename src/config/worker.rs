use std::time::Duration;

use clap::Args;

use super::parse;

/// What `tandem worker` does.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Worker")]
pub struct WorkerConfig {
    /// Port for /health, /ready and /metrics of a worker; 0 takes a free one
    #[arg(long = "worker-port", env = "WORKER_PORT", default_value_t = 4002)]
    pub worker_port: u16,
    /// Name of a worker, unlike that of any other; one that lasts lets it go on at once with what it had in hand. Made up if not given
    #[arg(long = "worker-name", env = "WORKER_NAME")]
    pub worker_name: Option<String>,
    /// Most entries that a worker writes in one transaction
    #[arg(long = "worker-batch", env = "WORKER_BATCH", default_value = "1000", value_parser = parse::count)]
    pub worker_batch: usize,
    /// What another worker has had in hand for this long is taken over: it is taken for dead, in seconds
    #[arg(long = "worker-claim-seconds", env = "WORKER_CLAIM_SECONDS", default_value = "30", value_parser = parse::some_seconds)]
    pub worker_claim: Duration,
    /// How many months of events are kept, the current one not counted; 0 keeps all
    #[arg(long = "ledger-retention-months", env = "LEDGER_RETENTION_MONTHS", default_value_t = 12)]
    pub ledger_retention_months: u16,
}
