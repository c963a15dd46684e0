use std::{fs, thread::available_parallelism};

use serde_json::{Value, json};

/// The machine that this program runs on.
pub(super) fn machine() -> Value {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let mut fields = info.lines().filter_map(|line| line.split_once(':'));
    let model = fields.find(|(key, _)| key.trim() == "model name").map(|(_, name)| name.trim());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    json!({ "cpus": available_parallelism().map_or(1, usize::from), "cpu": model, "kernel": kernel.trim() })
}
