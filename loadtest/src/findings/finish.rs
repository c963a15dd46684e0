use std::{fs, path::Path, process::ExitCode};

use anyhow::{Context, Result};
use comfy_table::{Cell, Table};

use super::{Findings, page};
use crate::{
    progress::Progress,
    report::{STYLE, right},
};

impl Findings {
    /// Prints the figures, writes the files, and tells how the process should end.
    pub(crate) fn finish(&self, progress: &Progress, json: Option<&Path>, html: Option<&Path>) -> Result<ExitCode> {
        progress.clear();
        println!("{}", self.table());
        for line in self.complaints.iter().map(|it| format!("complaint: {it}")) {
            println!(" {line}");
        }
        for line in &self.warnings {
            println!(" logged: {line}");
        }
        if let Some(path) = json {
            let text = serde_json::to_string_pretty(self)? + "\n";
            fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
            println!(" figures: {}", path.display());
        }
        if let Some(path) = html {
            fs::write(path, page::page(self).into_string())
                .with_context(|| format!("cannot write {}", path.display()))?;
            println!(" page: {}", path.display());
        }
        let passed = self.verdicts.iter().all(|verdict| verdict.passed);
        Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(STYLE);
        table.set_header([self.scenario.as_str(), "", ""]);
        for (name, value) in &self.figures {
            table.add_row([Cell::new(format!("  {name}")), right(&shown(*value)), Cell::new("")]);
        }
        table.add_row([""]);
        for verdict in &self.verdicts {
            let word = if verdict.passed { "ok" } else { "MISSED" };
            let value = verdict.value.map_or_else(|| "-".to_owned(), shown);
            table.add_row([Cell::new(format!("  {}", verdict.rule)), right(&value), Cell::new(word)]);
        }
        table
    }
}

/// A figure with as many digits as mean something.
pub(super) fn shown(value: f64) -> String {
    if value.fract().abs() < 1e-9 {
        format!("{value:.0}")
    } else if value.abs() < 10.0 {
        format!("{value:.2}")
    } else {
        format!("{value:.1}")
    }
}
