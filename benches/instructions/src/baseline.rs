use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::{count::Count, facts::Facts};

/// The recorded instruction counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Baseline {
    /// Where.
    pub(crate) facts: Facts,
    /// Instructions by step.
    pub(crate) steps: BTreeMap<String, f64>,
}

impl Baseline {
    /// A baseline from the present counts.
    pub(crate) fn new(facts: Facts, counts: &[Count]) -> Self {
        Self { facts, steps: counts.iter().map(|count| (count.name.to_owned(), count.instructions)).collect() }
    }

    /// Reads the file.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("no baseline at {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is no baseline", path.display()))
    }

    /// Writes the file.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        fs::write(path, serde_json::to_string_pretty(self)? + "\n")
            .with_context(|| format!("cannot write {}", path.display()))
    }
}
