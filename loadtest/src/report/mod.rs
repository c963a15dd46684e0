//! The result of a run: figures as tables for the terminal and as JSON, and the rules that they must meet.

mod machine;
mod rule;
mod sheet;

pub(crate) use rule::{ReportOptions, Rule};
pub(crate) use sheet::Sheet;

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::json;

use crate::units::number;

#[derive(Debug)]
pub(crate) struct Report {
    scenario: String,
    pub(crate) sheets: Vec<Sheet>,
    /// Errors that clients or the ledger showed; the first ones only.
    pub(crate) errors: Vec<String>,
    /// What a reader has to know about the figures.
    pub(crate) notes: Vec<String>,
}

/// A rule and the figure that it was applied to.
#[derive(Debug, Serialize)]
struct Verdict {
    rule: String,
    /// `None` if there is no such figure, which breaks the rule.
    value: Option<f64>,
    holds: bool,
}

impl Report {
    pub(crate) fn new(scenario: &str) -> Self {
        let (sheets, errors, notes) = (Vec::new(), Vec::new(), Vec::new());
        Self { scenario: scenario.to_owned(), sheets, errors, notes }
    }

    fn figures(&self) -> BTreeMap<String, f64> {
        self.sheets.iter().flat_map(Sheet::figures).collect()
    }

    /// Whether each rule holds.
    #[cfg(test)]
    pub(crate) fn judge(&self, rules: &[Rule]) -> Vec<bool> {
        let verdicts = verdicts(&self.figures(), rules);
        verdicts.iter().map(|verdict| verdict.holds).collect()
    }

    /// Prints the report, writes it as JSON if asked to, and returns the exit code of the program: failure if a rule is broken.
    pub(crate) fn finish(&self, rules: &[Rule], options: &ReportOptions) -> Result<ExitCode> {
        let figures = self.figures();
        let all: Vec<Rule> = rules.iter().chain(&options.rules).cloned().collect();
        let verdicts = verdicts(&figures, &all);
        for sheet in &self.sheets {
            println!("{sheet}");
        }
        print_verdicts(&verdicts);
        for error in &self.errors {
            println!("error: {error}");
        }
        for note in &self.notes {
            println!("note: {note}");
        }
        if let Some(path) = &options.json {
            self.save(path, &figures, &verdicts)?;
        }
        let passed = verdicts.iter().all(|verdict| verdict.holds);
        Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn save(&self, path: &Path, figures: &BTreeMap<String, f64>, rules: &[Verdict]) -> Result<()> {
        // The rounds are those whose median is the figure.
        let saved = json!({
            "scenario": &self.scenario,
            "made_at_unix_seconds": SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
            "command": std::env::args().collect::<Vec<_>>(),
            "machine": machine::machine(),
            "figures": figures,
            "rounds": self.sheets.iter().flat_map(Sheet::rounds).collect::<BTreeMap<_, _>>(),
            "rules": rules,
            "errors": &self.errors,
            "notes": &self.notes,
        });
        let text = serde_json::to_string_pretty(&saved)? + "\n";
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
        println!("figures written to {}", path.display());
        Ok(())
    }
}

fn verdicts(figures: &BTreeMap<String, f64>, rules: &[Rule]) -> Vec<Verdict> {
    let verdict = |rule: &Rule| {
        let value = figures.get(rule.figure()).copied();
        Verdict { rule: rule.to_string(), value, holds: value.is_some_and(|value| rule.holds(value)) }
    };
    rules.iter().map(verdict).collect()
}

/// Prints broken rules, and the bounds that hold; counts the rules that something is zero.
fn print_verdicts(verdicts: &[Verdict]) {
    let is_zero = |verdict: &&Verdict| verdict.holds && verdict.rule.ends_with("= 0");
    let zeros = verdicts.iter().filter(is_zero).count();
    if zeros > 0 {
        println!("ok: {zeros} figures that must be 0 are 0 (lost, doubled, errors and others)");
    }
    for verdict in verdicts.iter().filter(|verdict| !is_zero(verdict)) {
        let Verdict { rule, value, holds } = verdict;
        let word = if *holds { "ok" } else { "BROKEN" };
        let value = value.map_or_else(|| "missing".to_owned(), number);
        println!("{word}: {rule} (it is {value})");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_figure_breaks_its_rule() {
        let mut report = Report::new("control");
        let mut sheet = Sheet::new("");
        sheet.set("", "sent", 3.0);
        sheet.set("", "delivery_p99_ms", 7.5);
        report.sheets.push(sheet);
        let rules = ["sent=3", "delivery_p99_ms<7", "lost=0"].map(|rule| rule.parse().unwrap());
        assert_eq!(report.judge(&rules), [true, false, false]);
    }
}
