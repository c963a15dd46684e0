use std::fmt;

use comfy_table::{Cell, CellAlignment, LineStyle, Table, TableStyle};

use crate::units::{median, number};

/// Lines above, below, and under the header; nothing else.
const STYLE: TableStyle = {
    let line = LineStyle::none().fill('─').junction('─');
    TableStyle::new().top_border(line).header_separator(line).bottom_border(line)
};

/// Figures of one column without a name, or of a column for each server. The names of figures end with their units.
#[derive(Debug)]
pub(crate) struct Sheet {
    title: String,
    columns: Vec<String>,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    figure: String,
    cells: Vec<Option<Value>>,
}

#[derive(Debug, Clone)]
struct Value {
    value: f64,
    rounds: Vec<f64>,
}

impl Sheet {
    pub(crate) fn new(title: &str) -> Self {
        Self { title: title.to_owned(), columns: Vec::new(), rows: Vec::new() }
    }

    /// Sets a figure of a column. Rows and columns are shown in the order in which they are set first.
    pub(crate) fn set(&mut self, column: &str, figure: &str, value: f64) {
        self.put(column, figure, Value { value, rounds: Vec::new() });
    }

    /// Sets a figure to the median of its rounds; leaves it out if there are none.
    pub(crate) fn set_rounds(&mut self, column: &str, figure: &str, rounds: Vec<f64>) {
        if let Some(value) = median(rounds.iter().copied()) {
            self.put(column, figure, Value { value, rounds });
        }
    }

    fn put(&mut self, column: &str, figure: &str, value: Value) {
        let place = self.columns.iter().position(|it| it == column).unwrap_or_else(|| {
            self.columns.push(column.to_owned());
            self.columns.len() - 1
        });
        let row = self.rows.iter().position(|it| it.figure == figure).unwrap_or_else(|| {
            self.rows.push(Row { figure: figure.to_owned(), cells: Vec::new() });
            self.rows.len() - 1
        });
        let Some(row) = self.rows.get_mut(row) else { return };
        if row.cells.len() <= place {
            row.cells.resize(place + 1, None);
        }
        if let Some(cell) = row.cells.get_mut(place) {
            *cell = Some(value);
        }
    }

    pub(crate) fn get(&self, column: &str, figure: &str) -> Option<f64> {
        let place = self.columns.iter().position(|it| it == column)?;
        let row = self.rows.iter().find(|row| row.figure == figure)?;
        Some(row.cells.get(place)?.as_ref()?.value)
    }

    fn values(&self) -> impl Iterator<Item = (String, &Value)> {
        self.rows.iter().flat_map(move |row| {
            let cells = self.columns.iter().zip(&row.cells);
            cells.filter_map(move |(column, cell)| Some((name(column, &row.figure), cell.as_ref()?)))
        })
    }

    pub(crate) fn figures(&self) -> impl Iterator<Item = (String, f64)> {
        self.values().map(|(name, value)| (name, value.value))
    }

    /// The rounds of the figures that have any.
    pub(super) fn rounds(&self) -> impl Iterator<Item = (String, Vec<f64>)> {
        self.values().filter(|(_, value)| !value.rounds.is_empty()).map(|(name, value)| (name, value.rounds.clone()))
    }
}

impl fmt::Display for Sheet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_style(STYLE);
        // Some servers have long names.
        let heads = self.columns.iter().map(|column| right(&column.replace(['+', '_'], "\n")));
        table.set_header([Cell::new(&self.title)].into_iter().chain(heads));
        for row in &self.rows {
            let cells = (0..self.columns.len()).map(|place| {
                let value = row.cells.get(place).and_then(Option::as_ref);
                right(&value.map_or_else(|| "-".to_owned(), |value| number(value.value)))
            });
            table.add_row([Cell::new(format!("  {}", row.figure))].into_iter().chain(cells));
        }
        table.fmt(f)
    }
}

/// The name of a figure of a column.
fn name(column: &str, figure: &str) -> String {
    if column.is_empty() { figure.to_owned() } else { format!("{column}_{figure}") }
}

/// A cell of a column of numbers.
fn right(text: &str) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sheet() -> Sheet {
        let mut sheet = Sheet::new("Changes");
        sheet.set_rounds("cluster", "delivery_cpu_us", vec![30.0, 35.5, 31.0]);
        sheet.set("tandem", "delivery_cpu_us", 10.75);
        sheet.set("tandem", "sent", 54_000_000.0);
        sheet.set_rounds("tandem", "ratio", Vec::new());
        sheet
    }

    #[test]
    fn figures_are_named_by_their_column() {
        let mut sheet = sheet();
        sheet.set("", "rooms", 3.0);
        let figures: Vec<_> = sheet.figures().map(|(name, _)| name).collect();
        assert_eq!(figures, ["cluster_delivery_cpu_us", "tandem_delivery_cpu_us", "tandem_sent", "rooms"]);
        let rounds: Vec<_> = sheet.rounds().collect();
        assert_eq!(rounds, [("cluster_delivery_cpu_us".to_owned(), vec![30.0, 35.5, 31.0])]);
    }

    #[test]
    fn a_table_has_a_column_for_each_server() {
        let table = sheet().to_string();
        assert!(table.contains(" 31 ") && table.contains("54,000,000") && table.contains('-'), "{table}");
    }
}
