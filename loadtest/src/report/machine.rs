use std::{fs, thread::available_parallelism};

use serde::Serialize;

#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    cpus: usize,
    cpu: String,
    kernel: String,
}

impl Machine {
    /// The machine that this program runs on.
    pub(super) fn this() -> Self {
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let fields = info.lines().filter_map(|line| line.split_once(':'));
        let model = fields.clone().find(|(key, _)| key.trim() == "model name").map(|(_, name)| name.trim().to_owned());
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            cpus: available_parallelism().map_or(1, usize::from),
            cpu: model.unwrap_or_default(),
            kernel: kernel.trim().to_owned(),
        }
    }
}
