//! What is asked of a cluster alone, as a table.

use comfy_table::{Cell, Table};

use super::table::{STYLE, right};
use crate::{
    audit::Audit,
    bench::cluster::{Clash, Figures, RedisShare},
    fleet::MEMBERS,
    scenario::trips::{Caused, Trips},
    units::{float, grouped, per, time},
};

/// The figures, one a row.
pub(super) fn table(figures: &Figures) -> Table {
    let mut table = Table::new();
    table.load_style(STYLE);
    table.set_header(["Cluster", "", ""]);
    trips(&mut table, &figures.trips);
    redis(&mut table, &figures.redis);
    if let Some(clash) = &figures.clash {
        self::clash(&mut table, clash);
    }
    if let Some(audit) = &figures.ledger {
        ledger(&mut table, audit);
    }
    table
}

fn row(table: &mut Table, label: &str, value: &str, note: &str) {
    table.add_row([Cell::new(format!("  {label}")), right(value), Cell::new(note)]);
}

fn trips(table: &mut Table, trips: &Trips) {
    table.add_row(["Round trips to Redis"]);
    let kinds = [
        ("a change", &trips.change, Some("EVALSHA")),
        ("a signal on one node", &trips.near_signal, None),
        ("a signal between two", &trips.far_signal, Some("SPUBLISH")),
    ];
    for (label, caused, expected) in kinds {
        let must = if expected.is_some() { "1" } else { "0" };
        let verdict = if caused.is(expected) { "ok".to_owned() } else { format!("WRONG, must be {must}") };
        row(table, label, &format!("{:.2}", caused.each()), &format!("{verdict}: {}", named(caused)));
    }
    row(table, "a second, while nobody does anything", &format!("{:.0}", trips.quiet_per_second), "all nodes");
}

fn named(caused: &Caused) -> String {
    if caused.commands.is_empty() {
        return format!("nothing in {}", caused.operations);
    }
    let commands: Vec<String> = caused.commands.iter().map(|(name, count)| format!("{count} {name}")).collect();
    format!("{} in {}", commands.join(", "), caused.operations)
}

fn redis(table: &mut Table, share: &RedisShare) {
    table.add_row([""]);
    table.add_row(["Redis' counters, a change under load"]);
    row(table, "changes", &grouped(share.changes), "");
    row(table, "conflicts", &grouped(share.conflicts), "");
    row(table, "scripts", &format!("{:.3}", share.scripts), "leases too");
    row(table, "commands", &format!("{:.1}", share.commands), "those in scripts too");
    row(table, "bytes in", &format!("{:.0}", share.bytes_in), "");
    row(table, "bytes out", &format!("{:.0}", share.bytes_out), "");
}

fn ledger(table: &mut Table, audit: &Audit) {
    table.add_row([""]);
    table.add_row(["In PostgreSQL"]);
    let (lost, unasked) = audit.differ();
    row(table, "events", &grouped(audit.rows), "");
    row(table, "changes lost, doubled, never made", &grouped(lost + audit.doubled + unasked), "must be 0");
    row(table, "still waiting in Redis", &grouped(audit.waiting), "must be 0");
}

fn clash(table: &mut Table, Clash { figures, conflicts }: &Clash) {
    table.add_row([""]);
    table.add_row(["Two members at once, on two nodes"]);
    let measured = figures.latency.count / u64::from(MEMBERS);
    row(table, "changes", &grouped(measured), "");
    let share = format!("{:.2} a change", per(float(*conflicts), measured));
    row(table, "conflicts", &grouped(*conflicts), &share);
    let faults = figures.outcome.faults;
    let wrong = faults.lost + faults.doubled + faults.out_of_order + faults.differing;
    row(table, "lost, doubled, out of order, different", &grouped(wrong), "must be 0");
    row(
        table,
        "errors and closes, not sent",
        &grouped(figures.outcome.complaints + figures.outcome.unsent),
        "must be 0",
    );
    let latency = figures.latency;
    row(table, "p50", &time(latency.p50), "since due");
    row(table, "p99", &time(latency.p99), "");
    row(table, "p99.9", &time(latency.p999), "");
}
