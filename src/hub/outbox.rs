use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use futures_util::task::AtomicWaker;
use tokio::sync::oneshot;

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
    frames: VecDeque<Frame>,
    bytes: usize,
    close: Option<Close>,
    /// On the heap: it is rare, and an idle socket stays small.
    prompt: Option<Box<Prompt>>,
}

/// What there is to write.
#[derive(Debug)]
pub struct Batch {
    /// In order.
    pub frames: VecDeque<Frame>,
    /// The end of the socket, after the frames.
    pub close: Option<Close>,
    /// What the socket's task has to do beside.
    pub prompt: Option<Box<Prompt>>,
}

/// What others want of a socket's task, beside writing.
#[derive(Debug, Default)]
pub struct Prompt {
    /// A JOIN that waits may be granted now.
    pub try_again: bool,
    /// They want to know whether the peer is alive. Each is answered by the next sign of life.
    pub askers: Vec<oneshot::Sender<()>>,
}

impl Prompt {
    /// Adds what another one asks for.
    pub fn merge(&mut self, other: Self) {
        self.try_again |= other.try_again;
        self.askers.extend(other.askers);
    }
}

impl Outbox {
    /// An empty one for at most `budget` bytes.
    pub fn new(budget: usize) -> Self {
        Self { inner: Mutex::default(), reader: AtomicWaker::new(), budget }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a frame. One of a coalescable type takes the place of an earlier one of its type that still waits.
    pub fn push(&self, frame: Frame) {
        let mut inner = self.inner();
        if inner.close.is_some() {
            return;
        }
        let kind = frame.kind();
        if kind.is_coalescable()
            && let Some(old) = inner.frames.iter().position(|waiting| waiting.kind() == kind)
        {
            let stale = inner.frames.remove(old).map_or(0, |frame| frame.len());
            inner.bytes -= stale;
        }
        inner.bytes += frame.len();
        if inner.bytes > self.budget {
            *inner = Inner { close: Some(Close::SlowConsumer), ..Inner::default() };
        } else {
            inner.frames.push_back(frame);
        }
        drop(inner);
        self.reader.wake();
    }

    /// Ends the socket, after what already waits. The first reason stays.
    pub fn close(&self, close: Close) {
        self.inner().close.get_or_insert(close);
        self.reader.wake();
    }

    /// The JOIN that waits on this socket may be granted now.
    pub fn prompt_join(&self) {
        self.inner().prompt.get_or_insert_default().try_again = true;
        self.reader.wake();
    }

    /// Asks whether the peer is alive. The answer comes with its next sign of life; none ever comes once the socket has ended.
    pub fn ask(&self) -> oneshot::Receiver<()> {
        let (asker, answer) = oneshot::channel();
        let mut inner = self.inner();
        if inner.close.is_none() {
            inner.prompt.get_or_insert_default().askers.push(asker);
        }
        drop(inner);
        self.reader.wake();
        answer
    }

    /// Waits until there is something to write or to do, and takes it all.
    pub async fn take(&self) -> Batch {
        std::future::poll_fn(|context| self.poll_take(context)).await
    }

    fn poll_take(&self, context: &Context<'_>) -> Poll<Batch> {
        self.reader.register(context.waker());
        self.try_take().map_or(Poll::Pending, Poll::Ready)
    }

    /// Takes all that waits, if anything does.
    pub fn try_take(&self) -> Option<Batch> {
        let mut inner = self.inner();
        if inner.frames.is_empty() && inner.close.is_none() && inner.prompt.is_none() {
            return None;
        }
        inner.bytes = 0;
        // The queue's memory goes with it: an idle socket keeps none.
        Some(Batch { frames: std::mem::take(&mut inner.frames), close: inner.close, prompt: inner.prompt.take() })
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

    const BEAT: &str = r#"{"type":"HOST_HEARTBEAT","n":1}"#;
    const LATER_BEAT: &str = r#"{"type":"HOST_HEARTBEAT","n":2}"#;

    fn texts(batch: &Batch) -> Vec<&str> {
        batch.frames.iter().map(Frame::as_str).collect()
    }

    #[test]
    fn keeps_order_and_drops_what_is_superseded() {
        let outbox = Outbox::new(100);
        assert!(outbox.take().now_or_never().is_none());
        for text in ["a", BEAT, "b", LATER_BEAT] {
            outbox.push(text.into());
        }
        outbox.close(Close::Kicked);
        outbox.push("late".into());
        let batch = outbox.take().now_or_never().unwrap();
        assert_eq!(texts(&batch), ["a", "b", LATER_BEAT]);
        assert_eq!(batch.close, Some(Close::Kicked));
    }

    #[test]
    fn whoever_asks_is_answered_by_the_task_or_by_the_end() {
        let outbox = Outbox::new(100);
        let (mut first, mut second) = (outbox.ask(), outbox.ask());
        outbox.prompt_join();
        let batch = outbox.take().now_or_never().unwrap();
        assert!(batch.frames.is_empty() && batch.close.is_none() && outbox.try_take().is_none());
        let prompt = batch.prompt.unwrap();
        assert!(prompt.try_again && first.try_recv().is_err());
        prompt.askers.into_iter().for_each(|asker| asker.send(()).unwrap());
        assert_eq!((first.try_recv(), second.try_recv()), (Ok(()), Ok(())));
        outbox.close(Close::Draining);
        assert_eq!(outbox.ask().try_recv(), Err(oneshot::error::TryRecvError::Closed));
    }

    #[test]
    fn gives_up_a_reader_past_its_budget() {
        let outbox = Outbox::new(BEAT.len() + 1);
        for _ in 0..50 {
            outbox.push(BEAT.into());
        }
        assert!(outbox.given_up().now_or_never().is_none(), "superseded frames do not count");
        outbox.push("12".into());
        assert!(outbox.given_up().now_or_never().is_some());
        let batch = outbox.take().now_or_never().unwrap();
        assert_eq!((batch.frames.len(), batch.close), (0, Some(Close::SlowConsumer)));
    }
}
