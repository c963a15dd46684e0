use std::collections::BTreeMap;

use comfy_table::{Cell, Table};
use serde::{Deserialize, Serialize};

use super::{Series, finish::shown};
use crate::report::{STYLE, right};

/// Figures that follow something that grows.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Growth {
    /// What grows.
    pub(crate) across: String,
    /// What is told of each point.
    pub(crate) columns: Vec<Column>,
    /// From the smallest on.
    pub(crate) points: Vec<Point>,
}

/// A figure of every point.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Column {
    /// The name of the figure.
    pub(crate) figure: String,
    /// A word or two for the head of a table.
    pub(crate) head: String,
    /// The plot that it is in, if it is in one, and its name there.
    pub(crate) plot: Option<(String, String)>,
}

/// What was found at one size.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Point {
    /// The line that it belongs to, where there are several.
    pub(crate) line: String,
    /// The size.
    pub(crate) at: f64,
    /// The figures.
    pub(crate) figures: BTreeMap<String, f64>,
    /// What there is to say.
    pub(crate) note: String,
}

impl Point {
    /// Its name among its like.
    pub(crate) fn name(&self) -> String {
        let (at, line) = (shown(self.at), &self.line);
        if line.is_empty() { at } else { format!("{at} {line}") }
    }
}

impl Growth {
    /// The columns for which any point has a figure.
    pub(super) fn known(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|column| self.points.iter().any(|point| point.figures.contains_key(&column.figure)))
    }

    /// The plots with their lines: one for each figure, and for each line of points.
    pub(super) fn plots(&self) -> Vec<(String, Vec<Series>)> {
        let mut plots: Vec<(String, Vec<Series>)> = Vec::new();
        for column in self.known() {
            let Some((plot, name)) = &column.plot else { continue };
            let title = format!("{plot}, by {}", self.across);
            let lines = self.lines().into_iter().filter_map(|line| self.series(&title, (name, &column.figure), line));
            match plots.iter_mut().find(|(name, _)| *name == title) {
                Some((_, all)) => all.extend(lines),
                None => plots.push((title.clone(), lines.collect())),
            }
        }
        plots
    }

    fn lines(&self) -> Vec<&str> {
        let mut lines: Vec<&str> = Vec::new();
        for point in &self.points {
            if !lines.contains(&point.line.as_str()) {
                lines.push(&point.line);
            }
        }
        lines
    }

    fn series(&self, plot: &str, (name, figure): (&str, &str), line: &str) -> Option<Series> {
        let own = self.points.iter().filter(|point| point.line == line);
        let points: Vec<_> = own.filter_map(|it| Some((it.at, *it.figures.get(figure)?))).collect();
        let name = if line.is_empty() { name.to_owned() } else { format!("{name}, {line}") };
        (!points.is_empty()).then(|| Series { plot: plot.to_owned(), name, points })
    }

    /// One row a point.
    pub(super) fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(STYLE);
        let heads = self.known().map(|column| right(&column.head));
        table.set_header([Cell::new(&self.across)].into_iter().chain(heads).chain([Cell::new("")]));
        for point in &self.points {
            let figures = self.known().map(|column| point.figures.get(&column.figure).copied());
            let cells = figures.map(|value| right(&value.map_or_else(|| "-".to_owned(), shown)));
            let name = Cell::new(format!("  {}", point.name()));
            table.add_row([name].into_iter().chain(cells).chain([Cell::new(&point.note)]));
        }
        table
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn growth() -> Growth {
        let column = |figure: &str, plot: Option<&str>| Column {
            figure: figure.to_owned(),
            head: figure.to_uppercase(),
            plot: plot.map(|plot| (plot.to_owned(), figure.to_uppercase())),
        };
        let point = |line: &str, at, figures: &[(&str, f64)]| Point {
            line: line.to_owned(),
            at,
            figures: figures.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect(),
            note: String::new(),
        };
        Growth {
            across: "nodes".to_owned(),
            columns: vec![column("a", Some("P")), column("b", Some("P")), column("c", None), column("d", Some("P"))],
            points: vec![
                point("alone", 1.0, &[("a", 5.0)]),
                point("", 1.0, &[("a", 6.0), ("b", 2.0)]),
                point("", 2.0, &[("a", 7.0), ("b", 3.0), ("c", 1.5)]),
            ],
        }
    }

    #[test]
    fn a_plot_has_a_line_for_each_figure_of_each_line() {
        let plots = growth().plots();
        assert_eq!(plots.len(), 1);
        assert_eq!(plots[0].0, "P, by nodes");
        let lines: Vec<_> = plots[0].1.iter().map(|it| (it.name.as_str(), it.points.clone())).collect();
        assert_eq!(
            lines,
            [("A, alone", vec![(1.0, 5.0)]), ("A", vec![(1.0, 6.0), (2.0, 7.0)]), ("B", vec![(1.0, 2.0), (2.0, 3.0)])]
        );
    }

    #[test]
    fn the_table_has_a_row_for_each_point_and_no_empty_column() {
        let table = growth().table().to_string();
        assert!(table.contains("1 alone") && table.contains('7') && table.contains("1.50"), "{table}");
        assert!(!table.contains('D'), "{table}");
    }
}
