use std::path::PathBuf;

use clap::Args;

use super::Rule;

#[derive(Debug, Clone, Args)]
pub(crate) struct ReportOptions {
    /// Exit with 1 unless this holds, for example delivery_p99_ms<50; may be given several times
    #[arg(long = "must", value_name = "FIGURE<NUMBER", help_heading = "Report")]
    pub(super) rules: Vec<Rule>,
    /// Write the figures to this file, for scripts and loadtest/compare
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    pub(super) json: Option<PathBuf>,
}
