use std::{process::ExitCode, time::Duration};

use clap::Args;

#[derive(Debug, Args)]
pub(super) struct Sleep {
    /// How long to do nothing, in seconds
    #[arg(value_parser = clap::value_parser!(u16).range(..=3600))]
    seconds: u16,
}

impl Sleep {
    /// It blocks the thread, because there is nothing else to do meanwhile.
    pub(super) fn run(&self) -> ExitCode {
        std::thread::sleep(Duration::from_secs(self.seconds.into()));
        ExitCode::SUCCESS
    }
}
