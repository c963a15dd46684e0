use std::{
    io::{self, Write},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// Number of bytes that may wait for the reader of the log: some thousand lines.
const CAPACITY: usize = 1024 * 1024;
/// How long the writer rests after each write. A line that comes alone is written at once, and a thousand lines a second do not wake it a
/// thousand times.
const REST: Duration = Duration::from_millis(10);

/// Lines that were dropped by this process, for the metrics.
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// Lines that were dropped because the reader of the log was too slow.
pub fn dropped_lines() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

/// The queue of log lines to their reader. A thread of its own writes them, because a stalled reader must not stop the threads that serve
/// sockets. The queue is bounded in bytes; lines beyond that are dropped and counted, and the log says so once it moves again.
#[derive(Clone)]
pub(super) struct Pipe {
    shared: Arc<Shared>,
}

struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    dropped: u64,
    writing: bool,
    /// Whether the writer waits for a line: only then it has to be woken.
    idle: bool,
    /// Whether the process ends, so that nothing is to rest any more.
    hurried: bool,
}

impl Pipe {
    /// A pipe into `out`. `notice` makes the line that says how many were dropped.
    pub(super) fn new(mut out: impl Write + Send + 'static, notice: fn(u64) -> Vec<u8>) -> io::Result<Self> {
        let shared = Arc::new(Shared { waiting: Mutex::default(), changed: Condvar::new() });
        let writer = Arc::clone(&shared);
        thread::Builder::new().name("log".to_owned()).spawn(move || writer.run(&mut out, notice))?;
        Ok(Self { shared })
    }

    /// Takes a whole line, or drops it. Never waits for the reader.
    pub(super) fn push(&self, line: &[u8]) {
        let mut waiting = self.shared.lock();
        if waiting.bytes.len() + line.len() > CAPACITY {
            waiting.dropped += 1;
            DROPPED.fetch_add(1, Ordering::Relaxed);
        } else {
            waiting.bytes.extend_from_slice(line);
        }
        let idle = std::mem::take(&mut waiting.idle);
        drop(waiting);
        if idle {
            self.shared.changed.notify_all();
        }
    }

    /// Waits until everything is written, but not longer than `within`.
    pub(super) fn flush(&self, within: Duration) {
        let deadline = Instant::now() + within;
        let mut waiting = self.shared.lock();
        waiting.hurried = true;
        self.shared.changed.notify_all();
        while waiting.writing || !waiting.bytes.is_empty() || waiting.dropped > 0 {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else { return };
            waiting = self.shared.changed.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, out: &mut impl Write, notice: fn(u64) -> Vec<u8>) {
        let mut lines = Vec::new();
        loop {
            let mut waiting = self.lock();
            if waiting.writing {
                waiting.writing = false;
                self.changed.notify_all();
                let rest = self.changed.wait_timeout_while(waiting, REST, |waiting| !waiting.hurried);
                waiting = rest.unwrap_or_else(PoisonError::into_inner).0;
            }
            while waiting.bytes.is_empty() && waiting.dropped == 0 {
                waiting.idle = true;
                waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            }
            waiting.idle = false;
            std::mem::swap(&mut waiting.bytes, &mut lines);
            let dropped = std::mem::take(&mut waiting.dropped);
            waiting.writing = true;
            drop(waiting);
            if dropped > 0 {
                lines.extend(notice(dropped));
            }
            // If the reader is gone for good, there is nobody to report it to.
            let _ = out.write_all(&lines).and_then(|()| out.flush());
            lines.clear();
            lines.shrink_to(CAPACITY / 16);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// Takes one write each time it is allowed to.
    struct Reader {
        allowed: Receiver<()>,
        read: Sender<Vec<u8>>,
    }

    impl Write for Reader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.allowed.recv().map_err(|_| io::ErrorKind::BrokenPipe)?;
            self.read.send(bytes.to_vec()).map_err(|_| io::ErrorKind::BrokenPipe)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_stands_still_stops_nobody_and_is_told_what_it_missed() {
        let ((allow, allowed), (read, lines)) = (channel(), channel());
        let pipe = Pipe::new(Reader { allowed, read }, |lost| format!("lost {lost}\n").into_bytes()).unwrap();
        let line = [b'x'; 1024];
        pipe.push(b"first\n");
        // The writer has it in hand, and stands.
        while !pipe.shared.lock().writing {
            thread::yield_now();
        }
        let before = dropped_lines();
        for _ in 0..CAPACITY / line.len() + 7 {
            pipe.push(&line);
        }
        assert_eq!(dropped_lines() - before, 7);
        for _ in 0..2 {
            allow.send(()).unwrap();
        }
        assert_eq!(lines.recv().unwrap(), b"first\n");
        let rest = lines.recv().unwrap();
        assert!(rest.len() > CAPACITY && rest.ends_with(b"lost 7\n"));
        pipe.push(b"last\n");
        allow.send(()).unwrap();
        assert_eq!(lines.recv().unwrap(), b"last\n");
    }

    #[test]
    fn the_end_of_a_process_waits_for_the_last_line_but_not_for_ever() {
        let ((allow, allowed), (read, lines)) = (channel(), channel());
        let pipe = Pipe::new(Reader { allowed, read }, |_| Vec::new()).unwrap();
        pipe.push(b"last words\n");
        pipe.flush(Duration::from_millis(10));
        assert!(lines.try_recv().is_err());
        allow.send(()).unwrap();
        pipe.flush(Duration::from_mins(1));
        assert_eq!(lines.try_recv().unwrap(), b"last words\n");
    }
}
