use std::time::Duration;

use clap::Args;

use super::parse;

/// What `tandem worker` does.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Worker")]
pub struct WorkerConfig {
    /// Port for /health, /ready and /metrics of a worker; 0 picks a free one
    #[arg(long = "worker-port", env = "WORKER_PORT", default_value_t = 4002)]
    pub worker_port: u16,
    /// Name of a worker, which must be unique; with a lasting name a worker continues at once after a restart with the entries that it had claimed. Generated if not given
    #[arg(long = "worker-name", env = "WORKER_NAME")]
    pub worker_name: Option<String>,
    /// Maximum number of entries that a worker writes in one transaction
    #[arg(long = "worker-batch", env = "WORKER_BATCH", default_value = "5000", value_parser = parse::count)]
    pub worker_batch: usize,
    /// How long another worker may hold claimed entries before it counts as dead and they are taken over, in seconds
    #[arg(long = "worker-claim-seconds", env = "WORKER_CLAIM_SECONDS", default_value = "30", value_parser = parse::some_seconds)]
    pub worker_claim: Duration,
    /// Number of months of events that are kept beside the current one; 0 keeps all
    #[arg(long = "ledger-retention-months", env = "LEDGER_RETENTION_MONTHS", default_value_t = 12)]
    pub ledger_retention_months: u16,
}
