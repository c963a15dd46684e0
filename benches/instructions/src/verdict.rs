use std::fmt;

use comfy_table::{CellAlignment, LineStyle, Table, TableStyle};

use crate::{baseline::Baseline, count::Count, facts::Facts};

/// How much more a step may take than it did, in percent, and how much less is worth a new baseline. Two runs of one program are
/// at most some tenths of a percent apart: the keys of hash tables are others each time.
const LIMIT: f64 = 5.0;

const STYLE: TableStyle = {
    let line = LineStyle::none().fill('─').junction('─');
    TableStyle::new().top_border(line).header_separator(line).bottom_border(line)
};

/// The counts, compared with the baseline.
#[derive(Debug)]
pub(crate) struct Verdict {
    rows: Vec<Row>,
    differences: Vec<String>,
}

#[derive(Debug)]
struct Row {
    step: String,
    before: Option<f64>,
    now: Option<f64>,
}

/// The result for one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Same,
    More,
    Less,
    New,
    Gone,
}

impl Row {
    /// Percent more than before.
    fn more(&self) -> Option<f64> {
        let (before, now) = (self.before?, self.now?);
        Some((now / before - 1.0) * 100.0)
    }

    fn word(&self) -> Word {
        match (self.before, self.now, self.more()) {
            (None, ..) => Word::New,
            (_, None, _) => Word::Gone,
            (.., Some(more)) if more > LIMIT => Word::More,
            (.., Some(more)) if more < -LIMIT => Word::Less,
            _ => Word::Same,
        }
    }
}

/// Whether the count of a step is out of bounds, compared with `before`.
pub(crate) fn is_news(before: f64, now: f64) -> bool {
    ((now / before - 1.0) * 100.0).abs() > LIMIT
}

impl Verdict {
    /// The verdict on `counts`; if these are `all` steps, steps that only the baseline has are reported as missing.
    pub(crate) fn new(old: &Baseline, counts: &[Count], facts: &Facts, all: bool) -> Self {
        let before = |name: &str| old.steps.get(name).copied();
        let row = |it: &Count| Row { step: it.name.to_owned(), before: before(it.name), now: Some(it.instructions) };
        let mut rows: Vec<Row> = counts.iter().map(row).collect();
        let known = |name: &str| counts.iter().any(|count| count.name == name);
        let gone = old.steps.iter().filter(|(name, _)| all && !known(name));
        rows.extend(gone.map(|(name, before)| Row { step: name.clone(), before: Some(*before), now: None }));
        Self { rows, differences: old.facts.differences(facts) }
    }

    /// Whether no step exceeds its bound. With another compiler this is unknown, which is an error only if `strict`.
    pub(crate) fn passes(&self, strict: bool) -> bool {
        let comparable = self.differences.is_empty();
        let fine = |row: &Row| matches!(row.word(), Word::Same | Word::Less);
        if comparable { self.rows.iter().all(fine) } else { !strict }
    }

    fn any(&self, word: Word) -> bool {
        self.rows.iter().any(|row| row.word() == word)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_style(STYLE);
        table.set_header(["instructions", "before", "now", "%", ""]);
        for row in &self.rows {
            let word = match row.word() {
                Word::Same => "",
                Word::More => "MORE",
                Word::Less => "less",
                Word::New => "new",
                Word::Gone => "gone",
            };
            let number = |count: Option<f64>| count.map(|count| format!("{count:.1}")).unwrap_or_default();
            let more = row.more().map(|more| format!("{more:+.2}")).unwrap_or_default();
            table.add_row([row.step.clone(), number(row.before), number(row.now), more, word.to_owned()]);
        }
        for column in 1..=3 {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        writeln!(f, "{}", table.trim_fmt())?;
        if !self.differences.is_empty() {
            writeln!(f, "\nThis cannot be compared, and decides nothing: the baseline was counted elsewhere.")?;
            return self.differences.iter().try_for_each(|line| writeln!(f, "  {line}"));
        }
        if self.any(Word::More) {
            writeln!(
                f,
                "\nMORE: over {LIMIT} % more than before. --keep FOLDER keeps what callgrind_annotate shows; if it has to be, --bless."
            )?;
        }
        if self.any(Word::New) || self.any(Word::Gone) {
            writeln!(f, "\nnew, gone: the baseline knows other steps. --bless writes it anew.")?;
        }
        if self.any(Word::Less) {
            writeln!(f, "\nless: that is worth a new baseline, so that it stays: --bless.")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(compiler: &str) -> Facts {
        let text = String::new;
        Facts { compiler: compiler.to_owned(), target: text(), libc: text(), valgrind: text(), avx2: true }
    }

    fn verdict(now: f64, compiler: &str) -> Verdict {
        let old = Baseline::new(facts("a"), &[Count { name: "step", instructions: 1_000.0 }]);
        Verdict::new(&old, &[Count { name: "step", instructions: now }], &facts(compiler), true)
    }

    #[test]
    fn five_percent_more_is_the_limit() {
        assert!(verdict(1_049.0, "a").passes(true));
        assert!(!verdict(1_051.0, "a").passes(false));
        assert!(verdict(1_051.0, "a").to_string().contains("MORE"));
    }

    #[test]
    fn less_passes_and_is_worth_a_word() {
        let less = verdict(949.0, "a");
        assert!(less.passes(true));
        assert!(less.to_string().contains("worth a new baseline"));
        assert!(!verdict(951.0, "a").to_string().contains("worth"));
    }

    #[test]
    fn another_compiler_decides_nothing_but_when_asked_to() {
        let other = verdict(9_000.0, "b");
        assert!(other.passes(false));
        assert!(!other.passes(true));
        assert!(other.to_string().contains("compiler: a then, b now"));
    }

    #[test]
    fn steps_that_come_and_go_need_a_word() {
        let old = Baseline::new(facts("a"), &[Count { name: "old", instructions: 1.0 }]);
        let counts = [Count { name: "fresh", instructions: 1.0 }];
        assert!(!Verdict::new(&old, &counts, &facts("a"), true).passes(false));
        assert!(Verdict::new(&old, &[], &facts("a"), false).passes(false));
    }
}
