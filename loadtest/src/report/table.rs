//! The table on the terminal; at most 80 columns wide with two servers.

use std::iter;

use comfy_table::{Cell, CellAlignment, LineStyle, Table, TableStyle};

use super::{Check, Column, Ratio, Report, Subject, kilobytes, times};
use crate::{
    latency::Summary,
    scenario::{control::Share, idle},
    tally::Faults,
    units::{grouped, time},
};

/// Lines above, below, and under the header; nothing else.
pub(crate) const STYLE: TableStyle = {
    let line = LineStyle::none().fill('─').junction('─');
    TableStyle::new().top_border(line).header_separator(line).bottom_border(line)
};

/// The figures of a report, one column a server.
pub(super) fn table(report: &Report) -> Table {
    let mut rows = Rows { columns: &report.columns, table: Table::new() };
    rows.table.load_style(STYLE);
    let names = report.columns.iter().map(|column| right(column.name));
    rows.table.set_header(iter::once(Cell::new("")).chain(names).chain([Cell::new("")]));
    if report.columns.iter().any(|column| column.idle.is_some()) {
        rows.idle(report.check(Subject::RssPerSocket));
    }
    if report.columns.iter().any(|column| column.control.is_some()) {
        rows.control(report);
    }
    rows.table
}

/// The table as it grows.
struct Rows<'a> {
    columns: &'a [Column],
    table: Table,
}

impl Rows<'_> {
    /// The title of the rows that follow.
    fn group(&mut self, title: &str) {
        if self.table.row_count() > 0 {
            self.table.add_row([""]);
        }
        self.table.add_row([title]);
    }

    fn row(&mut self, label: &str, note: &str, cell: impl Fn(&Column) -> Option<String>) {
        let cells = self.columns.iter().map(|column| right(cell(column).as_deref().unwrap_or("-")));
        let label = Cell::new(format!("  {label}"));
        let row: Vec<Cell> = iter::once(label).chain(cells).chain([Cell::new(note)]).collect();
        self.table.add_row(row);
    }

    fn idle(&mut self, rss: Option<&Check>) {
        type Pick = fn(&idle::ServerFigures) -> String;
        let idle = |column: &Column| column.idle.clone();
        let server = |pick: Pick| move |column: &Column| Some(pick(idle(column)?.server.as_ref()?));
        let verdict = rss.map(|check| check.verdict(kilobytes)).unwrap_or_default();

        self.group("Idle sockets, joined");
        self.row("sockets", "", |it| Some(grouped(idle(it)?.sockets)));
        self.row("closed by the server", "must be 0", |it| Some(grouped(idle(it)?.closed)));
        self.row("joins a second", "", |it| Some(format!("{:.0}", idle(it)?.joins_per_second)));
        self.row("RSS a socket", &verdict, server(|it| kilobytes(it.per_socket.rss)));
        self.row("PSS a socket", "", server(|it| kilobytes(it.per_socket.pss)));
        self.row("private a socket", "", server(|it| kilobytes(it.per_socket.private)));
        self.row("CPU at rest", "of one core", server(|it| format!("{:.1} %", it.cpu_percent)));
    }

    fn control(&mut self, report: &Report) {
        type Pick<T> = fn(T) -> u64;
        let control = |column: &Column| column.control.clone();
        let faults = |pick: Pick<Faults>| move |it: &Column| Some(grouped(pick(control(it)?.outcome.faults)));

        self.group("Messages to rooms of 4");
        self.row("sent", "", |it| Some(grouped(control(it)?.outcome.sent)));
        self.row("delivered", "", |it| Some(grouped(control(it)?.outcome.delivered)));
        self.row("not sent", "must be 0", |it| Some(grouped(control(it)?.outcome.unsent)));
        self.row("lost", "must be 0", faults(|it| it.lost));
        self.row("doubled", "must be 0", faults(|it| it.doubled));
        self.row("out of order", "must be 0", faults(|it| it.out_of_order));
        self.row("different at members", "must be 0", faults(|it| it.differing));
        self.row("errors and closes", "must be 0", |it| Some(grouped(control(it)?.outcome.complaints)));

        let cpu = |pick: fn(Share) -> f64| move |it: &Column| Some(format!("{:.2} us", pick(control(it)?.cpu?)));
        self.group("Server CPU a delivery");
        self.row("all", "", cpu(|it| it.total));
        self.row("user", "", cpu(|it| it.user));
        self.row("kernel", "", cpu(|it| it.system));
        self.parts();
        for ratio in &report.cpu_ratios {
            self.ratio(ratio, report);
        }

        self.group("Latency, since due");
        let picks: [(&str, Pick<Summary>); 5] = [
            ("p50", |it| it.p50),
            ("p90", |it| it.p90),
            ("p99", |it| it.p99),
            ("p99.9", |it| it.p999),
            ("max", |it| it.max),
        ];
        for (name, pick) in picks {
            let own = self.columns.iter().filter_map(|it| Some(pick(control(it)?.generator_lag)));
            let note = own.max().map(|lag| format!("generator {}", time(lag)));
            self.row(name, &note.unwrap_or_default(), |it| Some(time(pick(control(it)?.latency))));
        }
    }

    /// What each part took, where a server has several.
    fn parts(&mut self) {
        let mut names: Vec<&str> = Vec::new();
        let parts = self.columns.iter().filter_map(|column| Some(&column.control.as_ref()?.parts));
        for part in parts.filter(|parts| parts.len() > 1).flatten() {
            if !names.contains(&part.name) {
                names.push(part.name);
            }
        }
        for name in names {
            self.row(&format!("of these {name}"), "", |column| {
                let part = column.control.as_ref()?.parts.iter().find(|part| part.name == name)?;
                Some(format!("{:.2} us", part.cpu.total))
            });
        }
    }

    fn ratio(&mut self, ratio: &Ratio, report: &Report) {
        let subject = match ratio.by {
            "relay" => Subject::CpuRatio,
            "socket.io" => Subject::RivalRatio,
            "centrifugo" => Subject::CentrifugoRatio,
            _ => Subject::ClusterRatio,
        };
        let verdict = report.check(subject).map(|check| check.verdict(times)).unwrap_or_default();
        let base =
            self.columns.iter().find(|column| column.name == ratio.by).and_then(|column| column.control.as_ref()?.cpu);
        self.row(&format!("by that of {}", ratio.by), &verdict, |column| {
            if column.name == ratio.of {
                return Some(times(ratio.median));
            }
            Some(times(column.control.as_ref()?.cpu?.total / base?.total))
        });
    }
}

/// A cell of a column of numbers.
pub(crate) fn right(text: &str) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}
