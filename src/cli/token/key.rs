use std::{
    fs::OpenOptions,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::Args;

use crate::token::{Algorithm, NewKey};

#[derive(Debug, Args)]
pub(super) struct MakeKey {
    /// What the key signs with: ES256, EdDSA or HS256
    #[arg(value_parser = |name: &str| Algorithm::named(name).ok_or("expected ES256, EdDSA or HS256"))]
    algorithm: Algorithm,
    /// File for the key that signs; it must not exist yet, and nobody else may read it
    #[arg(long)]
    out: PathBuf,
}

impl MakeKey {
    /// What signs goes into the file alone, and what verifies to standard output.
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let NewKey { private, public } = NewKey::make(self.algorithm)?;
        write(&self.out, &private).with_context(|| format!("cannot write the key {}", self.out.display()))?;
        match public {
            Some(public) => print!("{public}"),
            None => eprintln!("tandem: nodes need the file too: AUTH_KEYS=KID=HS256:@{}", self.out.display()),
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
