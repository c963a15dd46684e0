//! The figures by their names, which end with their units, as those of scenarios do: `compare` takes both.

use std::collections::BTreeMap;

use super::{Column, Report};
use crate::{latency::Summary, units::float};

/// Of all servers and phases.
pub(super) fn figures(report: &Report) -> BTreeMap<String, f64> {
    let mut all = BTreeMap::new();
    let mut set = |name: &str, what: &str, value| {
        all.insert(format!("{name}_{what}").to_lowercase(), value);
    };
    for Column { name, idle, control } in &report.columns {
        if let Some(server) = idle.as_ref().and_then(|idle| idle.server.as_ref()) {
            set(name, "socket_rss_bytes", server.per_socket.rss);
            set(name, "idle_cpu_percent", server.cpu_percent);
        }
        let Some(control) = control else { continue };
        if let Some(cpu) = control.cpu {
            set(name, "delivery_cpu_us", cpu.total);
        }
        for part in &control.parts {
            set(name, &format!("delivery_{}_cpu_us", part.name), part.cpu.total);
        }
        for (what, value) in latencies("delivery", &control.latency) {
            set(name, &what, value);
        }
    }
    for phase in &report.phases {
        phase.each_figure(&mut set);
    }
    for ratio in &report.cpu_ratios {
        set(ratio.of, &format!("delivery_by_{}_cpu_ratio", ratio.by), ratio.median);
    }
    all
}

/// The usual two, in milliseconds.
pub(crate) fn latencies(of: &str, latency: &Summary) -> [(String, f64); 2] {
    [("p50", latency.p50), ("p99", latency.p99)].map(|(name, us)| (format!("{of}_{name}_ms"), float(us) / 1e3))
}
