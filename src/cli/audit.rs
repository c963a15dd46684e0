use std::{
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use comfy_table::{ContentArrangement, Table, presets};
use jiff::{Span, Timestamp, Zoned, civil};

use crate::{
    clock::Millis,
    config::LedgerConfig,
    ledger::{EventRow, EventType, Query, query},
};

#[derive(Debug, Args)]
pub(super) struct Audit {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List events, oldest first
    Events(Events),
}

#[derive(Debug, Args)]
struct Events {
    #[command(flatten)]
    ledger: LedgerConfig,
    /// Only this room
    #[arg(long)]
    room: Option<String>,
    /// Only this type
    #[arg(long = "type", value_name = "TYPE", ignore_case = true)]
    kind: Option<EventType>,
    /// Only what this user did
    #[arg(long)]
    user: Option<String>,
    /// Only from here on: 2026-11-22, 2026-11-22T20:15:00Z, or how long ago: 90m, 2h, 7d
    #[arg(long, value_parser = moment)]
    since: Option<Millis>,
    /// Only up to here
    #[arg(long, value_parser = moment)]
    until: Option<Millis>,
    /// The newest so many
    #[arg(long, default_value_t = 1000)]
    limit: u32,
    /// How to print them
    #[arg(long, default_value = "table")]
    format: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Table,
    Json,
    Csv,
}

impl Audit {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let What::Events(events) = self.what;
        let path = events.ledger.database();
        let asked = Query {
            room: events.room,
            user: events.user,
            kind: events.kind,
            since: events.since,
            until: events.until,
            limit: events.limit,
        };
        let rows = query(&path, &asked)
            .with_context(|| format!("cannot read the ledger {} (TANDEM_DATA_DIR says where it is)", path.display()))?;
        match print(&rows, events.format) {
            // The reader has seen enough: `| head`.
            Err(error) if is_broken_pipe(&error) => Ok(ExitCode::SUCCESS),
            printed => printed.map(|()| ExitCode::SUCCESS),
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn print(rows: &[EventRow], format: Format) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match format {
        Format::Json => {
            serde_json::to_writer_pretty(&mut out, rows).map_err(io::Error::from)?;
            writeln!(out)?;
        }
        Format::Csv => {
            let mut csv = csv::Writer::from_writer(Vec::new());
            csv.write_record([
                "id",
                "created_at",
                "room_id",
                "event_type",
                "user_id",
                "data",
                "epoch",
                "version",
                "node_id",
            ])?;
            for row in rows {
                let (epoch, version) = (row.epoch.to_string(), row.version.to_string());
                csv.write_record([
                    &row.id,
                    &row.created_at,
                    &row.room_id,
                    &row.event_type,
                    &row.user_id,
                    row.data.get(),
                    &epoch,
                    &version,
                    &row.node_id,
                ])?;
            }
            out.write_all(&csv.into_inner()?)?;
        }
        Format::Table => {
            let mut table = Table::new();
            table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
            if !io::stdout().is_terminal() {
                table.set_content_arrangement(ContentArrangement::Disabled);
            }
            table.set_header(["time (UTC)", "room", "event", "user", "version", "data"]);
            for row in rows {
                let time = row.created_at.trim_end_matches('Z').replace('T', " ");
                table.add_row([
                    &time,
                    &row.room_id,
                    &row.event_type,
                    &row.user_id,
                    &row.version.to_string(),
                    row.data.get(),
                ]);
            }
            writeln!(out, "{table}\n{} events", rows.len())?;
        }
    }
    Ok(())
}

/// A point in time, or how long ago it was.
fn moment(text: &str) -> Result<Millis, String> {
    let at = if let Ok(timestamp) = text.parse::<Timestamp>() {
        timestamp
    } else if let Ok(date) = text.parse::<civil::Date>() {
        date.to_zoned(jiff::tz::TimeZone::UTC).map_err(|error| error.to_string())?.timestamp()
    } else if let Ok(ago) = text.parse::<Span>() {
        Zoned::now().checked_sub(ago).map_err(|error| error.to_string())?.timestamp()
    } else {
        return Err("expected a date, a time such as 2026-11-22T20:15:00Z, or how long ago, such as 2h".to_owned());
    };
    Millis::try_from(at.as_millisecond()).map_err(|_| "expected a time after 1970".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        assert_eq!(moment("1970-01-02"), Ok(86_400_000));
        assert_eq!(moment("1970-01-01T00:00:01.5Z"), Ok(1_500));
        let (now, ago) = (moment("0s").unwrap(), moment("2h").unwrap());
        assert!((7_199_000..=7_201_000).contains(&(now - ago)), "{}", now - ago);
        assert!(moment("yesterday").is_err());
    }
}
