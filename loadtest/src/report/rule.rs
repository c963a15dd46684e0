use std::{fmt, path::PathBuf, str::FromStr};

use anyhow::{Context, Result, ensure};
use clap::Args;

#[derive(Debug, Clone, Args)]
pub(crate) struct ReportOptions {
    /// Exit with 1 unless this holds, for example delivery_p99_ms<50; may be given several times
    #[arg(long = "must", value_name = "FIGURE<NUMBER", help_heading = "Report")]
    pub(super) rules: Vec<Rule>,
    /// Write the figures to this file, for scripts and loadtest/compare
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    pub(super) json: Option<PathBuf>,
}

/// How a figure may compare with a number.
const RELATIONS: [&str; 5] = ["<=", ">=", "<", ">", "="];

/// What must hold of a figure, such as `lost=0` or `delivery_p99_ms<50`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rule {
    figure: String,
    relation: &'static str,
    number: f64,
}

impl Rule {
    /// The figure may be at most so large.
    pub(crate) fn at_most(figure: &str, number: f64) -> Self {
        Self { figure: figure.to_owned(), relation: "<=", number }
    }

    /// The figure must be at least so large.
    pub(crate) fn at_least(figure: &str, number: f64) -> Self {
        Self { figure: figure.to_owned(), relation: ">=", number }
    }

    pub(crate) fn equal(figure: &str, number: f64) -> Self {
        Self { figure: figure.to_owned(), relation: "=", number }
    }

    pub(super) fn figure(&self) -> &str {
        &self.figure
    }

    pub(super) fn holds(&self, value: f64) -> bool {
        match self.relation {
            "<" => value < self.number,
            "<=" => value <= self.number,
            ">=" => value >= self.number,
            ">" => value > self.number,
            _ => (value - self.number).abs() < f64::EPSILON,
        }
    }
}

impl FromStr for Rule {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts = RELATIONS.into_iter().find_map(|relation| {
            let (figure, number) = text.split_once(relation)?;
            Some((figure.trim().to_owned(), relation, number.trim()))
        });
        let (figure, relation, number) = parts.context("a rule looks like FIGURE<NUMBER, with one of < <= = >= >")?;
        ensure!(!figure.is_empty(), "a rule begins with the name of a figure");
        Ok(Self { figure, relation, number: number.parse().context("a rule ends with a number")? })
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.figure, self.relation, self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_and_hold() {
        for (text, value, holds) in [
            ("lost=0", 0.0, true),
            ("lost = 0", 1.0, false),
            ("chat_p99_ms<50", 50.0, false),
            ("chat_p99_ms<=50", 50.0, true),
            ("joined>=4", 3.0, false),
            ("joined>2.5", 3.0, true),
        ] {
            let rule: Rule = text.parse().unwrap();
            assert_eq!(rule.holds(value), holds, "{rule}");
        }
        for bad in ["", "x", "<5", "a<b"] {
            assert!(bad.parse::<Rule>().is_err(), "{bad}");
        }
    }
}
