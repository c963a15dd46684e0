//! Ports for servers that need the same port again after a restart.

use std::{
    fs::{File, create_dir_all, metadata},
    net::TcpListener,
    os::unix::fs::MetadataExt as _,
    sync::Mutex,
};

/// A Redis Cluster needs the ten thousand above these, too. All are below those that the kernel gives to outgoing connections.
const PORTS: std::ops::Range<u16> = 12_000..22_000;

/// The ports of this process: a locked file each, which the kernel unlocks when the process ends.
static TAKEN: Mutex<Vec<File>> = Mutex::new(Vec::new());

/// A port that nobody listens on, and that no other test gets as long as this process lives: neither one of this process nor one of
/// another test binary that runs at the same time.
pub fn free_port() -> u16 {
    let mut taken = TAKEN.lock().unwrap();
    let first = rand::random_range(PORTS);
    for port in (first..PORTS.end).chain(PORTS.start..first) {
        let Some(lock) = lock(port) else { continue };
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            taken.push(lock);
            return port;
        }
    }
    panic!("no port is free");
}

/// Nothing if another process, or this one, has the port.
fn lock(port: u16) -> Option<File> {
    // Each user of a machine has a folder.
    let user = metadata("/proc/self").unwrap().uid();
    let folder = std::env::temp_dir().join(format!("tandem-test-ports-{user}"));
    create_dir_all(&folder).unwrap();
    let file = File::create(folder.join(port.to_string())).unwrap();
    file.try_lock().ok().map(|()| file)
}
