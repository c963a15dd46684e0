use std::fmt;

use comfy_table::{Cell, CellAlignment, LineStyle, Table, TableStyle};

use crate::units::{median, number};

/// Lines above, below, and under the header; nothing else.
const STYLE: TableStyle = {
    let line = LineStyle::none().fill('─').junction('─');
    TableStyle::new().top_border(line).header_separator(line).bottom_border(line)
};

/// How the columns of a sheet are laid out and named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One column without a name.
    Single,
    /// A column for each server; its figures are named `{server}_{figure}`.
    Servers,
    /// A point of a series for each column, shown as a row; its figures are named `{figure}@{point}`.
    Points,
}

/// Figures of one or several columns. The names of figures end with their units.
#[derive(Debug)]
pub(crate) struct Sheet {
    title: String,
    shape: Shape,
    columns: Vec<String>,
    rows: Vec<Row>,
    /// A word on each point, by column.
    remarks: Vec<(String, String)>,
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
    pub(crate) fn new(title: &str, shape: Shape) -> Self {
        Self { title: title.to_owned(), shape, columns: Vec::new(), rows: Vec::new(), remarks: Vec::new() }
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

    /// All figures of a column, with their short names.
    pub(crate) fn column(&self, column: &str) -> Vec<(String, f64)> {
        let figure = |row: &Row| Some((row.figure.clone(), self.get(column, &row.figure)?));
        self.rows.iter().filter_map(figure).collect()
    }

    /// Says something about a point; shown in its row.
    pub(crate) fn remark(&mut self, column: &str, remark: &str) {
        self.remarks.push((column.to_owned(), remark.to_owned()));
    }

    fn values(&self) -> impl Iterator<Item = (String, &Value)> {
        self.rows.iter().flat_map(move |row| {
            let cells = self.columns.iter().zip(&row.cells);
            cells.filter_map(move |(column, cell)| Some((self.name(column, &row.figure), cell.as_ref()?)))
        })
    }

    fn name(&self, column: &str, figure: &str) -> String {
        match self.shape {
            Shape::Single => figure.to_owned(),
            Shape::Servers => format!("{column}_{figure}"),
            Shape::Points => format!("{figure}@{}", column.replace(' ', "-")),
        }
    }

    pub(crate) fn figures(&self) -> impl Iterator<Item = (String, f64)> {
        self.values().map(|(name, value)| (name, value.value))
    }

    /// The rounds of the figures that have any.
    pub(super) fn rounds(&self) -> impl Iterator<Item = (String, Vec<f64>)> {
        self.values().filter(|(_, value)| !value.rounds.is_empty()).map(|(name, value)| (name, value.rounds.clone()))
    }

    /// Only the figures with these names, in this order; the others stay out of the table and of the JSON.
    pub(crate) fn only(mut self, figures: &[&str]) -> Self {
        let place = |row: &Row| figures.iter().position(|figure| *figure == row.figure);
        self.rows.retain(|row| place(row).is_some());
        self.rows.sort_by_key(place);
        self
    }
}

impl fmt::Display for Sheet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cell = |cell: Option<&Option<Value>>| {
            right(&cell.and_then(Option::as_ref).map_or_else(|| "-".to_owned(), |value| number(value.value)))
        };
        if self.shape == Shape::Points {
            let mut table = Table::new();
            table.load_style(STYLE);
            let heads =
                self.rows.iter().map(|row| right(&row.figure.trim_start_matches("delivery_").replace('_', "\n")));
            table.set_header([Cell::new(&self.title)].into_iter().chain(heads));
            for (place, column) in self.columns.iter().enumerate() {
                let cells = self.rows.iter().map(|row| cell(row.cells.get(place)));
                let remark = self.remarks.iter().find(|(it, _)| it == column).map(|(_, remark)| Cell::new(remark));
                table.add_row([Cell::new(column)].into_iter().chain(cells).chain(remark));
            }
            return table.fmt(f);
        }
        // More than four servers get several tables, so that each fits into 80 columns.
        let tables = if self.columns.len() > 4 { self.columns.len().div_ceil(3) } else { 1 };
        let width = self.columns.len().div_ceil(tables).max(1);
        for (number, columns) in self.columns.chunks(width).enumerate() {
            let places = number * width..number * width + columns.len();
            let is_known = |row: &&Row| places.clone().any(|place| matches!(row.cells.get(place), Some(Some(_))));
            let mut table = Table::new();
            table.load_style(STYLE);
            // Some servers have long names.
            let heads = columns.iter().map(|column| right(&column.replace('+', "\n+")));
            table.set_header([Cell::new(&self.title)].into_iter().chain(heads));
            for row in self.rows.iter().filter(is_known) {
                let cells = places.clone().map(|place| cell(row.cells.get(place)));
                table.add_row([Cell::new(format!("  {}", row.figure))].into_iter().chain(cells));
            }
            write!(f, "{}{table}", if number > 0 { "\n" } else { "" })?;
        }
        Ok(())
    }
}

/// A cell of a column of numbers.
fn right(text: &str) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sheet(shape: Shape) -> Sheet {
        let mut sheet = Sheet::new("Changes", shape);
        sheet.set_rounds("cluster", "delivery_cpu_us", vec![30.0, 35.5, 31.0]);
        sheet.set("tandem", "delivery_cpu_us", 10.75);
        sheet.set("tandem", "sent", 54_000_000.0);
        sheet.set_rounds("tandem", "ratio", Vec::new());
        sheet
    }

    #[test]
    fn figures_are_named_by_their_column() {
        let figures = |shape| sheet(shape).figures().map(|(name, _)| name).collect::<Vec<_>>();
        let names = ["cluster_delivery_cpu_us", "tandem_delivery_cpu_us", "tandem_sent"];
        assert_eq!(figures(Shape::Servers), names);
        assert_eq!(figures(Shape::Points)[0], "delivery_cpu_us@cluster");
        assert_eq!(figures(Shape::Single)[2], "sent");
        let rounds: Vec<_> = sheet(Shape::Servers).rounds().collect();
        assert_eq!(rounds, [("cluster_delivery_cpu_us".to_owned(), vec![30.0, 35.5, 31.0])]);
    }

    #[test]
    fn a_table_of_four_servers_fits_into_80_columns() {
        let mut sheet = sheet(Shape::Servers);
        sheet.set("relay", "delivery_postgresql_cpu_us", 1_234.5);
        sheet.set("socket.io", "delivered", 216_000_000.0);
        let table = sheet.to_string();
        assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
        assert!(table.contains(" 31 ") && table.contains("54,000,000") && table.contains('-'), "{table}");
    }

    #[test]
    fn many_servers_get_several_tables() {
        let mut sheet = Sheet::new("Changes in rooms of 4", Shape::Servers);
        for name in ["cluster", "cluster+resume", "tandem", "relay", "socket.io", "centrifugo", "centrifugo+history"] {
            sheet.set(name, "delivered", 1_200_000.0);
        }
        sheet.set("cluster+resume", "delivery_by_centrifugo+history_cpu_ratio", 0.5);
        let table = sheet.to_string();
        assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
        assert_eq!(table.matches("delivered").count(), 3, "{table}");
        assert_eq!(table.matches("delivery_by_centrifugo+history_cpu_ratio").count(), 1, "{table}");
    }

    #[test]
    fn a_point_is_a_row() {
        let table = sheet(Shape::Points).only(&["sent", "delivery_cpu_us"]).to_string();
        let row = table.lines().find(|line| line.contains("tandem")).unwrap();
        assert!(row.find("54,000,000").unwrap() < row.find("10.8").unwrap(), "{table}");
    }
}
