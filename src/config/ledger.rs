use std::path::PathBuf;

use clap::Args;

/// Where events and rooms are written down.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Ledger")]
pub struct LedgerConfig {
    /// Directory of the ledger (tandem.db) and of the generated key (secret)
    #[arg(long = "data-dir", env = "TANDEM_DATA_DIR", default_value = "data")]
    pub data_dir: PathBuf,
}

impl LedgerConfig {
    /// The SQLite file.
    pub fn database(&self) -> PathBuf {
        self.data_dir.join("tandem.db")
    }
}
