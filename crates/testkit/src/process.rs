use std::{
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

pub use crate::port::free_port;

/// How long a server may take to start or to end.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// The program under test: cargo builds it for integration tests, and names it. By hand it is beside the folder of the test binary.
pub fn tandem() -> PathBuf {
    std::env::var_os("CARGO_BIN_EXE_tandem")
        .map_or_else(|| std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("tandem"), PathBuf::from)
}

/// A program of the system, in the places where Debian keeps it.
pub fn program(name: &str, elsewhere: &[&str]) -> PathBuf {
    let path = std::env::var("PATH").unwrap_or_default();
    let found =
        path.split(':').chain(elsewhere.iter().copied()).map(|dir| Path::new(dir).join(name)).find(|it| it.is_file());
    found.unwrap_or_else(|| panic!("{name} is missing: ./test installs it"))
}

/// A child process that does not outlive its test.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// Kills the child when this process is gone, however it went: it waits for the end of the pipe that is held here.
    watcher: Child,
}

impl Process {
    /// Starts the process. Its output goes to `log`.
    pub fn start(command: &mut Command, log: &Path) -> Self {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let watcher = Command::new("sh")
            .args(["-c", "read -r _; kill -9 \"$1\" 2>/dev/null", "watcher", &child.id().to_string()])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        Self { child, watcher }
    }

    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status().unwrap();
        assert!(status.success(), "kill -{name}");
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// How it ended; nothing while it runs, or if a signal ended it.
    pub fn code(&mut self) -> Option<i32> {
        self.child.try_wait().unwrap().and_then(|status| status.code())
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM, and waits for the end.
    pub fn stop(&mut self) {
        self.signal("TERM");
        let begun = Instant::now();
        while self.is_running() {
            assert!(begun.elapsed() < DEADLINE, "it does not stop");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A paused process would not end otherwise.
        let _ = Command::new("kill").arg("-CONT").arg(self.child.id().to_string()).stderr(Stdio::null()).status();
        self.kill();
        let _ = self.watcher.kill();
        let _ = self.watcher.wait();
    }
}

/// Waits until `done`.
pub fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < DEADLINE, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether a server listens on this port.
pub fn listens(port: u16) -> bool {
    TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), Duration::from_millis(200)).is_ok()
}
