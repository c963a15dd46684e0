//! A process that sees another system clock than everybody else: `libfaketime` answers for the kernel. What nobody sets, the monotonic clock,
//! stays as it is.

use std::{fs, path::PathBuf};

use tempfile::TempDir;

/// The system clock of a process. It may be set while that runs.
#[derive(Debug)]
pub struct Faketime {
    dir: TempDir,
}

impl Faketime {
    /// A clock that is ahead by this number of seconds, or behind.
    pub fn ahead(seconds: i64) -> Self {
        let clock = Self { dir: tempfile::tempdir().unwrap() };
        clock.set(seconds);
        clock
    }

    /// Changes the lead. The file is replaced at once, because a half written number would be another time.
    pub fn set(&self, seconds: i64) {
        let new = self.dir.path().join("new");
        fs::write(&new, format!("{seconds:+}\n")).unwrap();
        fs::rename(new, self.file()).unwrap();
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("offset")
    }

    /// The environment variables for the process.
    pub fn env(&self) -> [(&'static str, String); 4] {
        [
            ("LD_PRELOAD", library()),
            ("FAKETIME_TIMESTAMP_FILE", self.file().to_str().unwrap().to_owned()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
    }
}

/// Debian has a folder for each architecture.
fn library() -> String {
    let folders = fs::read_dir("/usr/lib").unwrap().map(|entry| entry.unwrap().path());
    let mut places = folders.map(|folder| folder.join("faketime/libfaketime.so.1")).filter(|place| place.exists());
    places.next().expect("libfaketime (Debian: apt-get install libfaketime)").to_str().unwrap().to_owned()
}
