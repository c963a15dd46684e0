use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use futures_util::task::AtomicWaker;

use crate::protocol::{Close, Frame};

/// What waits to be written to one socket. Everybody may push, one task takes. It has a budget of bytes: a reader that lets it fill up is
/// closed, and nobody else waits for it.
#[derive(Debug)]
pub struct Outbox {
    inner: Mutex<Inner>,
    reader: AtomicWaker,
    budget: usize,
}

#[derive(Debug, Default)]
struct Inner {
    frames: VecDeque<(Frame, bool)>,
    bytes: usize,
    close: Option<Close>,
}

/// What there is to write.
#[derive(Debug)]
pub struct Batch {
    /// In order.
    pub frames: VecDeque<(Frame, bool)>,
    /// The end of the socket, after the frames.
    pub close: Option<Close>,
}

impl Outbox {
    /// An empty one for at most `budget` bytes.
    pub fn new(budget: usize) -> Self {
        Self { inner: Mutex::default(), reader: AtomicWaker::new(), budget }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a frame. A `fleeting` one takes the place of an earlier fleeting one that still waits.
    pub fn push(&self, frame: Frame, fleeting: bool) {
        let mut inner = self.inner();
        if inner.close.is_some() {
            return;
        }
        if fleeting && let Some(old) = inner.frames.iter().position(|(_, fleeting)| *fleeting) {
            let stale = inner.frames.remove(old).map_or(0, |(frame, _)| frame.len());
            inner.bytes -= stale;
        }
        inner.bytes += frame.len();
        if inner.bytes > self.budget {
            *inner = Inner { close: Some(Close::SlowConsumer), ..Inner::default() };
        } else {
            inner.frames.push_back((frame, fleeting));
        }
        drop(inner);
        self.reader.wake();
    }

    /// Ends the socket, after what already waits. The first reason stays.
    pub fn close(&self, close: Close) {
        self.inner().close.get_or_insert(close);
        self.reader.wake();
    }

    /// Waits until there is something to write, and takes it all.
    pub async fn take(&self) -> Batch {
        std::future::poll_fn(|context| self.poll_take(context)).await
    }

    fn poll_take(&self, context: &Context<'_>) -> Poll<Batch> {
        self.reader.register(context.waker());
        self.try_take().map_or(Poll::Pending, Poll::Ready)
    }

    /// Takes all that waits, if something does.
    pub fn try_take(&self) -> Option<Batch> {
        let mut inner = self.inner();
        if inner.frames.is_empty() && inner.close.is_none() {
            return None;
        }
        inner.bytes = 0;
        // The queue's memory goes with it: an idle socket keeps none.
        Some(Batch { frames: std::mem::take(&mut inner.frames), close: inner.close })
    }

    /// Waits until the reader is not worth waiting for any longer. Whoever is stuck in writing to it waits for this.
    pub async fn given_up(&self) -> Close {
        std::future::poll_fn(|context| {
            self.reader.register(context.waker());
            match self.inner().close {
                Some(close @ (Close::SlowConsumer | Close::Draining | Close::Policy)) => Poll::Ready(close),
                _ => Poll::Pending,
            }
        })
        .await
    }

    /// Bytes that wait.
    pub fn waiting(&self) -> usize {
        self.inner().bytes
    }

    /// The most bytes that may wait.
    pub fn budget(&self) -> usize {
        self.budget
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn texts(batch: &Batch) -> Vec<&str> {
        batch.frames.iter().map(|(frame, _)| frame.as_str()).collect()
    }

    #[test]
    fn keeps_order_and_drops_what_is_superseded() {
        let outbox = Outbox::new(100);
        assert!(outbox.take().now_or_never().is_none());
        for (text, fleeting) in [("a", false), ("beat 1", true), ("b", false), ("beat 2", true)] {
            outbox.push(text.into(), fleeting);
        }
        outbox.close(Close::Kicked);
        outbox.push("late".into(), false);
        let batch = outbox.take().now_or_never().unwrap();
        assert_eq!(texts(&batch), ["a", "b", "beat 2"]);
        assert_eq!(batch.close, Some(Close::Kicked));
    }

    #[test]
    fn gives_up_a_reader_past_its_budget() {
        let outbox = Outbox::new(10);
        for _ in 0..50 {
            outbox.push("123456".into(), true);
        }
        assert!(outbox.given_up().now_or_never().is_none(), "superseded frames do not count");
        outbox.push("123456".into(), false);
        assert!(outbox.given_up().now_or_never().is_some());
        let batch = outbox.take().now_or_never().unwrap();
        assert_eq!((batch.frames.len(), batch.close), (0, Some(Close::SlowConsumer)));
    }
}
