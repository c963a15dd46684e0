use std::io::{self, IsTerminal as _, Write as _};

use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::{
    ledger::{DeadRow, EventRow},
    text,
};

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Format {
    Table,
    Json,
    Csv,
}

/// A row that can be printed: all of it for programs, what matters for people.
pub(super) trait Listed: Serialize {
    /// What many of them are called.
    const MANY: &'static str;
    const COLUMNS: &'static [&'static str];
    const HEADINGS: &'static [&'static str];
    fn columns(&self) -> Vec<String>;
    fn cells(&self) -> Vec<String>;
}

impl Listed for EventRow {
    const MANY: &'static str = "events";
    const COLUMNS: &'static [&'static str] =
        &["id", "created_at", "room_id", "event_type", "user_id", "data", "epoch", "version", "node_id"];
    const HEADINGS: &'static [&'static str] = &["time (UTC)", "room", "event", "user", "version", "data"];

    fn columns(&self) -> Vec<String> {
        let (epoch, version) = (self.epoch.to_string(), self.version.to_string());
        let (id, at, room, kind) = (&self.id, &self.created_at, &self.room_id, &self.event_type);
        [id, at, room, kind, &self.user_id, self.data.get(), &epoch, &version, &self.node_id].map(str::to_owned).into()
    }

    fn cells(&self) -> Vec<String> {
        let (time, version) = (for_people(&self.created_at), self.version.to_string());
        [&time, &self.room_id, &self.event_type, &self.user_id, &version, self.data.get()].map(str::to_owned).into()
    }
}

impl Listed for DeadRow {
    const MANY: &'static str = "dead letters";
    const COLUMNS: &'static [&'static str] =
        &["id", "failed_at", "tried_at", "tries", "stream", "entry_id", "error", "payload"];
    const HEADINGS: &'static [&'static str] = &["id", "time (UTC)", "tries", "stream", "entry", "error", "payload"];

    fn columns(&self) -> Vec<String> {
        let (id, tries) = (self.id.to_string(), self.tries.to_string());
        let (first, last, stream) = (&self.failed_at, &self.tried_at, &self.stream);
        [&id, first, last, &tries, stream, &self.entry_id, &self.error, &self.payload].map(String::clone).into()
    }

    fn cells(&self) -> Vec<String> {
        /// Characters of a payload that people see.
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

pub(super) fn print<T: Listed>(rows: &[T], format: Format) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match format {
        Format::Json => {
            serde_json::to_writer_pretty(&mut out, rows).map_err(io::Error::from)?;
            writeln!(out)?;
        }
        Format::Csv => {
            let mut csv = csv::Writer::from_writer(Vec::new());
            csv.write_record(T::COLUMNS)?;
            for row in rows {
                csv.write_record(row.columns())?;
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
