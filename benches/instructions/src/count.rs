use std::{
    env::current_exe,
    fs::create_dir_all,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::step::Step;

/// The cost of a step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Count {
    /// The step's name.
    pub(crate) name: &'static str,
    /// Instructions, each time; to the tenth, since some take few.
    pub(crate) instructions: f64,
}

/// Runs steps under callgrind.
pub(crate) struct Counter<'a> {
    program: PathBuf,
    keep: Option<&'a Path>,
}

impl<'a> Counter<'a> {
    /// Leaves callgrind's files in `keep`.
    pub(crate) fn new(keep: Option<&'a Path>) -> Result<Self> {
        if let Some(folder) = keep {
            create_dir_all(folder)?;
        }
        Ok(Self { program: current_exe()?, keep })
    }

    /// Runs it twice, the second time twice as long: the start of the program and all that is prepared are in both, so the difference
    /// is what the step itself takes.
    pub(crate) fn count(&self, step: &Step) -> Result<Count> {
        let once = self.run(step.name, step.times)?;
        let twice = self.run(step.name, 2 * step.times)?;
        let tenths = 10 * twice.saturating_sub(once) / step.times;
        Ok(Count { name: step.name, instructions: float(tenths) / 10.0 })
    }

    fn run(&self, name: &str, times: u64) -> Result<u64> {
        let file = match self.keep {
            Some(folder) => folder.join(format!("{}.{times}.callgrind", name.replace('/', "-"))),
            None => PathBuf::from("/dev/null"),
        };
        let mut command = Command::new("valgrind");
        command.args(["--tool=callgrind", "--error-exitcode=1"]);
        command.arg(format!("--callgrind-out-file={}", file.display()));
        // The same settings on every machine.
        command.arg(&self.program).args(["step", name, &times.to_string()]).env_clear();
        let output = command.output().context("valgrind could not be started (Debian: the package valgrind)")?;
        let said = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            bail!("{name} ended with {}:\n{said}", output.status);
        }
        collected(&said).with_context(|| format!("valgrind did not say what it counted:\n{said}"))
    }
}

/// Counts are far below where an `f64` has gaps.
#[allow(clippy::cast_precision_loss)]
fn float(count: u64) -> f64 {
    count as f64
}

/// The number in callgrind's `==7== Collected : 1234`.
fn collected(said: &str) -> Option<u64> {
    said.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_callgrind_says_is_found() {
        assert_eq!(collected("==7== Events    : Ir\n==7== Collected : 1234\n==7== \n"), Some(1234));
        assert_eq!(collected("==7== Command: ls\n"), None);
    }
}
