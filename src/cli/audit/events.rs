use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, ValueEnum, builder::PossibleValue};

use super::{
    ask,
    limit::Limit,
    moment::moment,
    print::{Format, print},
};
use crate::{
    clock::Millis,
    config::{LedgerConfig, PostgresConfig},
    ledger::{EventType, Query, query},
};

impl ValueEnum for EventType {
    fn value_variants<'a>() -> &'a [Self] {
        Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.as_str()))
    }
}

#[derive(Debug, Args)]
pub(super) struct Events {
    #[command(flatten)]
    ledger: LedgerConfig,
    #[command(flatten)]
    postgres: PostgresConfig,
    /// Only events of this room
    #[arg(long)]
    room: Option<String>,
    /// Only events of this type
    #[arg(long = "type", value_name = "TYPE", ignore_case = true)]
    kind: Option<EventType>,
    /// Only events of this user
    #[arg(long)]
    user: Option<String>,
    /// Only events since this time: 2026-11-22, 2026-11-22T20:15:00Z, or how long ago: 90m, 2h, 7d
    #[arg(long, value_parser = moment)]
    since: Option<Millis>,
    /// Only events until this time, in the same forms
    #[arg(long, value_parser = moment)]
    until: Option<Millis>,
    /// Number of events to print, the newest ones; 0 for all
    #[arg(long, default_value = "1000")]
    limit: Limit,
    /// Format of the output
    #[arg(long, default_value = "table")]
    format: Format,
}

impl Events {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let asked = Query {
            room: self.room,
            user: self.user,
            kind: self.kind,
            since: self.since,
            until: self.until,
            limit: self.limit.asked(),
        };
        let mut rows = if self.postgres.is_given() {
            ask(&self.postgres, async |database| Ok(database.events(&asked).await?))?
        } else {
            let path = self.ledger.database();
            query(&path, &asked).with_context(|| {
                format!("cannot read the ledger {} (TANDEM_DATA_DIR says where it is)", path.display())
            })?
        };
        rows.drain(..rows.len() - self.limit.printed(rows.len()));
        print(&rows, self.format)?;
        Ok(ExitCode::SUCCESS)
    }
}
