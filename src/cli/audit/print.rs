use std::io::{self, IsTerminal as _, Write as _};

use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::{
    ledger::{DeadRow, EventRow},
    text,
};

/// What a formula begins with in one spreadsheet or another, and what is skipped before it.
const FORMULA: [char; 10] = ['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠'];

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Format {
    Table,
    Json,
    Csv,
}

/// A row that can be printed: all columns for programs, the important ones for people.
pub(super) trait Listed: Serialize {
    /// The plural name of such rows.
    const MANY: &'static str;
    /// The cells for people.
    const HEADINGS: &'static [&'static str];
    /// The names of all columns.
    fn names() -> Vec<&'static str>;
    /// The values of all columns, in the same order.
    fn values(&self) -> Vec<String>;
    fn cells(&self) -> Vec<String>;
}

impl Listed for EventRow {
    const MANY: &'static str = "events";
    const HEADINGS: &'static [&'static str] = &["time (UTC)", "room", "event", "user", "version", "data"];

    fn names() -> Vec<&'static str> {
        Self::columns().collect()
    }

    fn values(&self) -> Vec<String> {
        let Self { id, created_at, room_id, event_type, user_id, data, epoch, version, node_id } = self;
        let (epoch, version) = (epoch.to_string(), version.to_string());
        [id, created_at, room_id, event_type, user_id, data.get(), &epoch, &version, node_id].map(str::to_owned).into()
    }

    fn cells(&self) -> Vec<String> {
        let (time, version) = (for_people(&self.created_at), self.version.to_string());
        [&time, &self.room_id, &self.event_type, &self.user_id, &version, self.data.get()].map(str::to_owned).into()
    }
}

impl Listed for DeadRow {
    const MANY: &'static str = "dead letters";
    const HEADINGS: &'static [&'static str] = &["id", "time (UTC)", "tries", "stream", "entry", "error", "payload"];

    fn names() -> Vec<&'static str> {
        ["id", "failed_at", "tried_at", "tries", "stream", "entry_id", "error", "payload"].into()
    }

    fn values(&self) -> Vec<String> {
        let Self { id, failed_at, tried_at, tries, stream, entry_id, error, payload } = self;
        let (id, tries) = (id.to_string(), tries.to_string());
        [&id, failed_at, tried_at, &tries, stream, entry_id, error, payload].map(String::clone).into()
    }

    fn cells(&self) -> Vec<String> {
        /// Number of characters of a payload that people see.
        const SOME: usize = 80;
        let mut payload: String = self.payload.chars().take(SOME).collect();
        if payload.len() < self.payload.len() {
            payload.push('…');
        }
        let (id, time, tries) = (self.id.to_string(), for_people(&self.failed_at), self.tries.to_string());
        [&id, &time, &tries, &self.stream, &self.entry_id, &self.error, &payload].map(String::clone).into()
    }
}

fn for_people(iso: &str) -> String {
    iso.trim_end_matches('Z').replace('T', " ")
}

/// The value for a spreadsheet: what would be a formula there begins with an apostrophe, which makes it a text.
fn inert(value: String) -> String {
    let is_number = value.parse::<f64>().is_ok_and(f64::is_finite);
    if value.starts_with(FORMULA) && !is_number { format!("'{value}") } else { value }
}

pub(super) fn print<T: Listed>(rows: &[T], format: Format) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match format {
        Format::Json => {
            serde_json::to_writer_pretty(&mut out, rows).map_err(io::Error::from)?;
            writeln!(out)?;
        }
        Format::Csv => {
            let mut csv = csv::Writer::from_writer(Vec::new());
            csv.write_record(T::names())?;
            for row in rows {
                csv.write_record(row.values().into_iter().map(inert))?;
            }
            out.write_all(&csv.into_inner()?)?;
        }
        Format::Table => {
            let mut table = Table::new();
            table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
            if !io::stdout().is_terminal() {
                table.set_content_arrangement(ContentArrangement::Disabled);
            }
            table.set_header(T::HEADINGS);
            for row in rows {
                table.add_row(row.cells().iter().map(|cell| text::spell(cell)));
            }
            writeln!(out, "{table}\n{} {}", rows.len(), T::MANY)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_formula_becomes_a_text_and_everything_else_stays() {
        for formula in ["=cmd|'/c calc'!A1", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "＝1+1", "-", "+inf", "-nan"]
        {
            assert_eq!(inert(formula.to_owned()), format!("'{formula}"), "{formula:?}");
        }
        for kept in ["", "-5", "+7", "-1.5e3", "a=b", "'=1", "room", "{\"a\":1}", "2026-11-22T20:15:00Z", " =1"] {
            assert_eq!(inert(kept.to_owned()), kept);
        }
    }
}
