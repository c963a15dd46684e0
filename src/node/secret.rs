use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use rand::RngCore as _;

/// The secret of the deployment, or the one in the data directory, which is generated at the first start. PINs and codes must mean the same
/// after a restart.
pub(crate) fn load(given: Option<&str>, data_dir: &Path) -> io::Result<Vec<u8>> {
    if let Some(given) = given {
        return Ok(given.as_bytes().to_vec());
    }
    let path = data_dir.join("secret");
    match fs::read(&path) {
        Ok(secret) if !secret.is_empty() => Ok(secret),
        Ok(_) => make(&path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(&path),
        Err(error) => Err(error),
    }
}

fn make(path: &Path) -> io::Result<Vec<u8>> {
    let mut random = [0_u8; 16];
    rand::rng().fill_bytes(&mut random);
    let secret = format!("{:032x}", u128::from_be_bytes(random)).into_bytes();
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(&secret)?;
    file.sync_all()?;
    Ok(secret)
}
