use std::{fs, path::Path, process::ExitCode};

use anyhow::{Context, Result};
use comfy_table::{Cell, Table};

use super::{
    AT, Findings, Growth, Output, Series, page,
    plot::{Across, picture},
};
use crate::{
    audit::Audit,
    progress::Progress,
    report::{STYLE, right},
};

/// What must hold after any scenario.
const ALWAYS: [&str; 4] = ["lost=0", "doubled=0", "out_of_order=0", "complaints=0"];

impl Findings {
    /// Judges by what must always hold, by `rules`, and by those that were asked for; then prints the figures, writes the files,
    /// and tells how the process should end.
    pub(crate) fn conclude(mut self, rules: &[&str], output: &Output, progress: &Progress) -> Result<ExitCode> {
        // `limit` does not know how many changes were made, so nothing is there that could be lost or unasked.
        let counted = |rule: &&&str| rule.split_once('=').is_some_and(|(figure, _)| self.figures.contains_key(figure));
        let ledger = Audit::RULES.iter().filter(counted);
        let own = ALWAYS.iter().chain(ledger).chain(rules).map(|rule| rule.parse()).collect::<Result<Vec<_>>>()?;
        self.judge(own.into_iter().chain(output.rules.iter().cloned()));
        self.finish(output, progress)
    }

    fn finish(&self, output: &Output, progress: &Progress) -> Result<ExitCode> {
        progress.clear();
        if let Some(growth) = &self.growth {
            println!("{}", growth.table());
        }
        println!("{}", self.table());
        for line in self.complaints.iter().map(|it| format!("complaint: {it}")) {
            println!(" {line}");
        }
        for line in &self.warnings {
            println!(" logged: {line}");
        }
        if let Some(path) = &output.json {
            let text = serde_json::to_string_pretty(self)? + "\n";
            fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
            println!(" figures: {}", path.display());
        }
        if let Some(path) = &output.html {
            fs::write(path, page::page(self).into_string())
                .with_context(|| format!("cannot write {}", path.display()))?;
            println!(" page: {}", path.display());
        }
        if let Some(folder) = &output.svg {
            self.draw(folder)?;
            println!(" plots: {}", folder.display());
        }
        let passed = self.verdicts.iter().all(|verdict| verdict.passed);
        Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// Writes every plot into a file of its own.
    fn draw(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder)?;
        let mut plots: Vec<(String, Across, Vec<Series>)> = Vec::new();
        for (name, lines) in self.growth.iter().flat_map(Growth::plots) {
            plots.push((name, Across::sizes(&lines), lines));
        }
        for (across, all) in [(Across::Quantile, &self.curves), (Across::Time, &self.series)] {
            for line in all {
                match plots.iter_mut().find(|(name, ..)| *name == line.plot) {
                    Some((_, _, lines)) => lines.push(line.clone()),
                    None => plots.push((line.plot.clone(), across.clone(), vec![line.clone()])),
                }
            }
        }
        for (name, across, lines) in plots {
            let path = folder.join(slug(&self.scenario, &name) + ".svg");
            let svg = picture(&name, &across, &lines.iter().collect::<Vec<_>>()).into_string();
            fs::write(&path, svg + "\n").with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(STYLE);
        table.set_header([self.scenario.as_str(), "", ""]);
        for (name, value) in self.figures.iter().filter(|(name, _)| !name.contains(AT)) {
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

/// The name of a file: the words of a title without its unit.
fn slug(scenario: &str, title: &str) -> String {
    let title = title.split(',').next().unwrap_or(title);
    let title = format!("{scenario} {title}");
    let words = title.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_plot_becomes_a_file() {
        let mut findings = Findings::new("growth of nodes");
        findings.grow(super::super::growth::tests::growth());
        let points = vec![(0.5, 1.0)];
        findings.curves.push(Series { plot: "Latency, ms".to_owned(), name: "chat".to_owned(), points });
        let folder = tempfile::tempdir().unwrap();
        findings.draw(folder.path()).unwrap();
        let mut files: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
        files.sort();
        assert_eq!(files, ["growth-of-nodes-latency.svg", "growth-of-nodes-p.svg"]);
        assert_eq!(findings.figures["b@2"].to_string(), "3");
        assert_eq!(findings.figures["a@1-alone"].to_string(), "5");
    }
}
