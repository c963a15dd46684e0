use std::path::PathBuf;

use clap::Args;

use super::Rule;

/// What becomes of the results.
#[derive(Debug, Clone, Args)]
pub(crate) struct Output {
    /// What must hold, or the run fails, such as chat_p99_ms<50; may be given several times
    #[arg(long = "must", value_name = "FIGURE<NUMBER")]
    pub(super) rules: Vec<Rule>,
    /// Write the results to this file, for `compare`
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
    /// Write a page with plots to this file
    #[arg(long, value_name = "FILE")]
    pub(super) html: Option<PathBuf>,
    /// Write each plot as a picture of its own into this folder
    #[arg(long, value_name = "FOLDER")]
    pub(super) svg: Option<PathBuf>,
}
