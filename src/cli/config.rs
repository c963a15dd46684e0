use clap::{ArgMatches, Args};

use crate::config::{Config, example, table};

#[derive(Debug, Args)]
pub(super) struct Show {
    #[command(flatten)]
    config: Config,
    /// Print a commented .env file instead
    #[arg(long)]
    example: bool,
}

impl Show {
    pub(super) fn run(&self, matches: &ArgMatches, origin: impl Fn(&str) -> String) {
        if self.example {
            print!("{}", example());
        } else {
            print!("{}", table(matches, origin));
        }
    }
}
