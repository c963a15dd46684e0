use std::{fmt, str::FromStr};

use anyhow::{Context, Result, ensure};

/// How a figure compares with a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    Below,
    AtMost,
    Equal,
    AtLeast,
    Above,
}

const RELATIONS: [(&str, Relation); 5] = [
    ("<=", Relation::AtMost),
    (">=", Relation::AtLeast),
    ("<", Relation::Below),
    (">", Relation::Above),
    ("=", Relation::Equal),
];

/// What must hold of a figure, such as `lost=0` or `delivery_p99_ms<50`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rule {
    figure: String,
    relation: Relation,
    number: f64,
}

impl Rule {
    /// The figure may be at most so large.
    pub(crate) fn at_most(figure: &str, number: f64) -> Self {
        Self { figure: figure.to_owned(), relation: Relation::AtMost, number }
    }

    pub(crate) fn equal(figure: &str, number: f64) -> Self {
        Self { figure: figure.to_owned(), relation: Relation::Equal, number }
    }

    pub(super) fn figure(&self) -> &str {
        &self.figure
    }

    pub(super) fn holds(&self, value: f64) -> bool {
        match self.relation {
            Relation::Below => value < self.number,
            Relation::AtMost => value <= self.number,
            Relation::Equal => (value - self.number).abs() < f64::EPSILON,
            Relation::AtLeast => value >= self.number,
            Relation::Above => value > self.number,
        }
    }
}

impl FromStr for Rule {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts = RELATIONS.iter().find_map(|(sign, relation)| {
            let (figure, number) = text.split_once(sign)?;
            Some((figure.trim().to_owned(), *relation, number.trim()))
        });
        let (figure, relation, number) = parts.context("a rule looks like FIGURE<NUMBER, with one of < <= = >= >")?;
        ensure!(!figure.is_empty(), "a rule begins with the name of a figure");
        Ok(Self { figure, relation, number: number.parse().context("a rule ends with a number")? })
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = RELATIONS.iter().find(|(_, relation)| *relation == self.relation).map_or("?", |(sign, _)| sign);
        write!(f, "{} {sign} {}", self.figure, self.number)
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
