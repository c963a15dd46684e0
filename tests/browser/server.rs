use std::{
    io::{BufRead, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::process::Group;
use tandem_testkit::process::free_port;

const STARTS_WITHIN: Duration = Duration::from_secs(30);

/// The real server as a child process, with a data directory of its own.
pub(crate) struct Server {
    process: Group,
    data: TempDir,
    port: u16,
    env: Vec<(&'static str, &'static str)>,
}

impl Server {
    pub(crate) fn start(env: &[(&'static str, &'static str)]) -> Self {
        let data = tempfile::tempdir().unwrap();
        // Not one that the system hands out by itself: it has to be there for the next process as well.
        let (process, port) = spawn(&data, free_port(), env);
        Self { process, data, port, env: env.to_vec() }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A number of /metrics.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
    }

    /// Whether it accepts clients.
    pub(crate) fn is_ready(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else { return false };
        let mut text = String::new();
        write!(stream, "GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").is_ok()
            && stream.read_to_string(&mut text).is_ok()
            && text.starts_with("HTTP/1.1 200")
    }

    /// Down as an update does it, and up again at the same place with the same data.
    pub(crate) fn restart(&mut self) {
        self.process.stop();
        self.start_again();
    }

    /// Down as a power cut does it.
    pub(crate) fn crash(&mut self) {
        self.process.kill();
        self.start_again();
    }

    fn start_again(&mut self) {
        let (process, port) = spawn(&self.data, self.port, &self.env);
        assert_eq!(port, self.port);
        self.process = process;
    }

    /// `tandem audit ...` on the data of this server: what it printed.
    pub(crate) fn audit(&self, args: &[&str]) -> String {
        self.run(&[&["audit"], args].concat())
    }

    /// Any command on the data of this server: what it printed.
    pub(crate) fn run(&self, args: &[&str]) -> String {
        let output = command(&self.data).args(args).output().expect("tandem runs");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "tandem {args:?} failed: {error}");
        String::from_utf8(output.stdout).expect("tandem prints UTF-8")
    }
}

fn command(data: &TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tandem"));
    // Neither the environment of the user, nor a .env in the work tree.
    command.env_clear().current_dir(data.path());
    command.env("TANDEM_DATA_DIR", data.path()).env("LOG_FORMAT", "json");
    command
}

fn spawn(data: &TempDir, port: u16, env: &[(&'static str, &'static str)]) -> (Group, u16) {
    let mut command = command(data);
    command.env("HOST", "127.0.0.1").env("PORT", port.to_string());
    command.envs(tandem_testkit::backing::tokens()).envs(env.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut process = Group::spawn(&mut command).expect("the server starts");
    let stdout = process.child().stdout.take().unwrap();
    let (tell, told) = mpsc::channel();
    // The log is read to its end, because a full pipe would block the server.
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let Ok(entry) = serde_json::from_str::<Value>(&line) else { continue };
            if entry["msg"] == "listening" {
                let _ = tell.send(entry["addr"].as_str().unwrap_or_default().to_owned());
            }
        }
    });
    let addr = told.recv_timeout(STARTS_WITHIN).expect("the server says where it listens, within 30 s");
    let port = addr.rsplit(':').next().and_then(|port| port.parse().ok());
    (process, port.unwrap_or_else(|| panic!("\"addr\":\"{addr}\" has no port")))
}
