use std::{
    collections::BTreeMap,
    net::SocketAddr,
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::Child,
    task::JoinHandle,
    time::{Instant, sleep},
};

use crate::{DEADLINE, binary::command, process::tandem};

pub(super) type Lines = Arc<Mutex<Vec<String>>>;

/// While it is locked, the log is not read.
pub(super) type LogGate = Arc<tokio::sync::Mutex<()>>;

/// One process of the server.
pub(super) struct Node {
    pub(super) child: Child,
    pub(super) addr: SocketAddr,
    /// The tasks that read its log; they end with the process.
    pub(super) readers: Vec<JoinHandle<()>>,
}

impl Node {
    pub(super) async fn spawn(env: &BTreeMap<String, String>, all: &Lines, gate: &LogGate) -> Result<Self, String> {
        let mut child = command(env, &["serve"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", tandem().display()));
        let lines = Lines::default();
        let readers = vec![
            collect(child.stdout.take().unwrap(), &[&lines, all], gate),
            collect(child.stderr.take().unwrap(), &[&lines, all], gate),
        ];
        let begun = Instant::now();
        loop {
            if let Some(addr) = listening(&lines) {
                return Ok(Self { child, addr, readers });
            }
            let ended = child.try_wait().unwrap();
            if ended.is_some() || begun.elapsed() > 2 * DEADLINE {
                // Let the last lines arrive.
                sleep(Duration::from_millis(100)).await;
                let log = lines.lock().unwrap().join("\n");
                return Err(format!("the server did not start ({ended:?}):\n{log}"));
            }
            sleep(Duration::from_millis(5)).await;
        }
    }
}

fn collect(stream: impl AsyncRead + Send + Unpin + 'static, to: &[&Lines], gate: &LogGate) -> JoinHandle<()> {
    let gate = Arc::clone(gate);
    let to: Vec<_> = to.iter().map(|lines| Arc::clone(lines)).collect();
    tokio::spawn(async move {
        let mut reader = BufReader::new(stream).lines();
        while let Ok(Some(line)) = reader.next_line().await {
            drop(gate.lock().await);
            for lines in &to {
                lines.lock().unwrap().push(line.clone());
            }
        }
    })
}

fn listening(lines: &Lines) -> Option<SocketAddr> {
    lines.lock().unwrap().iter().find_map(|line| {
        let line: Value = serde_json::from_str(line).ok()?;
        if line["msg"] == "listening" { line["addr"].as_str()?.parse().ok() } else { None }
    })
}
