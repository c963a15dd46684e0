use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

/// The facts, besides the source, that counts depend on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Facts {
    /// The output of `rustc --version`.
    pub(crate) compiler: String,
    /// The target triple.
    pub(crate) target: String,
    /// The C library: what copies and searches memory, and allocates it.
    pub(crate) libc: String,
    /// valgrind decides which of the processor's abilities the C library sees.
    pub(crate) valgrind: String,
    /// Whether the processor has AVX2, which the C library uses for copying.
    pub(crate) avx2: bool,
}

impl Facts {
    /// Those of this machine, and of how this program was built.
    pub(crate) fn here() -> Result<Self> {
        Ok(Self {
            compiler: env!("COMPILER").to_owned(),
            target: env!("TARGET").to_owned(),
            libc: said(Command::new("getconf").arg("GNU_LIBC_VERSION")).unwrap_or_else(|_| "not glibc".to_owned()),
            valgrind: said(Command::new("valgrind").arg("--version"))
                .context("Debian has it in the package valgrind")?,
            avx2: avx2(),
        })
    }

    /// The differences, one line for each.
    pub(crate) fn differences(&self, other: &Self) -> Vec<String> {
        let pairs = [
            ("compiler", &self.compiler, &other.compiler),
            ("target", &self.target, &other.target),
            ("C library", &self.libc, &other.libc),
            ("valgrind", &self.valgrind, &other.valgrind),
            ("AVX2", &self.avx2.to_string(), &other.avx2.to_string()),
        ];
        let differ = pairs.iter().filter(|(_, one, two)| one != two);
        differ.map(|(name, one, two)| format!("{name}: {one} then, {two} now")).collect()
    }
}

fn said(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    if !output.status.success() {
        bail!("{command:?}: {}", output.status);
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

#[cfg(target_arch = "x86_64")]
fn avx2() -> bool {
    std::is_x86_feature_detected!("avx2")
}

#[cfg(not(target_arch = "x86_64"))]
fn avx2() -> bool {
    false
}
