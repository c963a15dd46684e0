//! Progress of a run, on stderr.

use std::{
    io::{IsTerminal, Write, stderr},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::task::JoinHandle;

/// Interval at which the line on a terminal is redrawn.
const REDRAW: Duration = Duration::from_millis(500);

/// One line that is rewritten on a terminal; plain lines anywhere else.
#[derive(Debug)]
pub(crate) struct Progress {
    started: Instant,
    terminal: bool,
    silent: bool,
    text: Arc<Mutex<String>>,
    painter: Option<JoinHandle<()>>,
}

impl Progress {
    pub(crate) fn start() -> Self {
        let started = Instant::now();
        let terminal = stderr().is_terminal();
        let text = Arc::new(Mutex::new(String::new()));
        let painter = terminal.then(|| {
            let text = Arc::clone(&text);
            tokio::spawn(async move {
                loop {
                    tokio::time::sleep(REDRAW).await;
                    draw(started, &text.lock().unwrap_or_else(PoisonError::into_inner));
                }
            })
        });
        Self { started, terminal, silent: false, text, painter }
    }

    pub(crate) fn silent() -> Self {
        let text = Arc::default();
        Self { started: Instant::now(), terminal: false, silent: true, text, painter: None }
    }

    pub(crate) fn step(&self, text: &str) {
        if self.terminal {
            self.detail(text);
            draw(self.started, text);
        } else if !self.silent {
            eprintln!("[{:5.1} s] {text}", self.started.elapsed().as_secs_f64());
        }
    }

    /// Shows how far a step is, on a terminal only.
    pub(crate) fn detail(&self, text: &str) {
        let mut current = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        current.clear();
        current.push_str(text);
    }

    /// Clears the line, before anything else is printed.
    pub(crate) fn clear(&self) {
        self.detail("");
        if self.terminal {
            eprint!("\r\x1b[2K");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(painter) = self.painter.take() {
            painter.abort();
        }
        self.clear();
    }
}

fn draw(started: Instant, text: &str) {
    if text.is_empty() {
        return;
    }
    let text: String = text.chars().take(68).collect();
    let mut stderr = stderr().lock();
    let _ = write!(stderr, "\r\x1b[2K[{:5.1} s] {text}", started.elapsed().as_secs_f64());
    let _ = stderr.flush();
}
