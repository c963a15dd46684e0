use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use futures_util::task::AtomicWaker;
use tokio::sync::oneshot;

use crate::protocol::{Close, Frame, ServerFrameType};

/// The frames that wait for one socket. Any task may push; the task of the socket takes. It is bounded in bytes, and no other member waits
/// for a slow reader.
///
/// Members may send more than one of them can read, which is no fault of the reader's. So when its outbox is full, the BROADCASTs in it are left
/// out first, and the reader is told. Only if the other frames alone fill it, the socket is closed. (A reader that reads nothing is closed
/// by the write that waits for it.)
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
    /// How many of the frames are BROADCASTs.
    broadcasts: u32,
    close: Option<Close>,
    /// On the heap, because it is rare and idle sockets should stay small.
    prompt: Option<Box<Prompt>>,
}

/// The frames to write.
#[derive(Debug)]
pub struct Batch {
    /// The frames, in order.
    pub frames: VecDeque<Frame>,
    /// The reason to close the socket, after the frames.
    pub close: Option<Close>,
    /// Other requests to the task of the socket.
    pub prompt: Option<Box<Prompt>>,
}

/// Requests to the task of a socket, besides writing.
#[derive(Debug, Default)]
pub struct Prompt {
    /// The waiting JOIN may be granted now.
    pub try_again: bool,
    /// Tokens were revoked, so the client's is to be looked at again.
    pub check_token: bool,
    /// The number of BROADCASTs that were left out, because the outbox was full.
    pub left_out: u64,
    /// Tasks that want to know whether the peer is alive; the next sign of life answers all of them.
    pub askers: Vec<oneshot::Sender<()>>,
}

impl Prompt {
    /// Adds the requests of `other`.
    pub fn merge(&mut self, other: Self) {
        self.try_again |= other.try_again;
        self.check_token |= other.check_token;
        self.left_out += other.left_out;
        self.askers.extend(other.askers);
    }
}

impl Inner {
    fn leave_out_broadcasts(&mut self) {
        if self.broadcasts == 0 {
            return;
        }
        let is_kept = |frame: &Frame| frame.kind() != ServerFrameType::Broadcast;
        self.frames.retain(is_kept);
        self.bytes = self.frames.iter().map(|frame| frame.len()).sum();
        self.prompt.get_or_insert_default().left_out += u64::from(std::mem::take(&mut self.broadcasts));
    }
}

impl Outbox {
    /// An empty outbox for at most `budget` bytes.
    pub fn new(budget: usize) -> Self {
        Self { inner: Mutex::default(), reader: AtomicWaker::new(), budget }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a frame. A frame of a coalescable type replaces a waiting one of its type.
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
        if inner.bytes + frame.len() > self.budget {
            inner.leave_out_broadcasts();
        }
        let broadcasts = u32::from(kind == ServerFrameType::Broadcast);
        if inner.bytes + frame.len() <= self.budget {
            inner.bytes += frame.len();
            inner.broadcasts += broadcasts;
            inner.frames.push_back(frame);
        } else if broadcasts > 0 {
            inner.prompt.get_or_insert_default().left_out += 1;
        } else {
            *inner = Inner { close: Some(Close::SlowConsumer), ..Inner::default() };
        }
        drop(inner);
        self.reader.wake();
    }

    /// Closes the socket after the waiting frames. The first reason counts.
    pub fn close(&self, close: Close) {
        self.inner().close.get_or_insert(close);
        self.reader.wake();
    }

    /// Prompts the waiting JOIN of this socket.
    pub fn prompt_join(&self) {
        self.inner().prompt.get_or_insert_default().try_again = true;
        self.reader.wake();
    }

    /// Has the token of this client looked at again.
    pub fn prompt_token_check(&self) {
        self.inner().prompt.get_or_insert_default().check_token = true;
        self.reader.wake();
    }

    /// Asks whether the peer is alive. The answer comes with its next sign of life, and never if the socket ends before.
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

    /// Waits until there is something to write or to do, and takes all of it.
    pub fn take(&self) -> impl Future<Output = Batch> + '_ {
        std::future::poll_fn(|context| self.poll_take(context))
    }

    /// As [`Self::take`], for a task that waits for other things, too.
    #[inline]
    pub fn poll_take(&self, context: &Context<'_>) -> Poll<Batch> {
        self.reader.register(context.waker());
        self.try_take().map_or(Poll::Pending, Poll::Ready)
    }

    /// Takes everything that waits, if there is anything.
    #[inline]
    pub fn try_take(&self) -> Option<Batch> {
        let mut inner = self.inner();
        if inner.frames.is_empty() && inner.close.is_none() && inner.prompt.is_none() {
            return None;
        }
        inner.bytes = 0;
        inner.broadcasts = 0;
        // The memory of the queue is freed with it, so that an idle socket holds none.
        Some(Batch { frames: std::mem::take(&mut inner.frames), close: inner.close, prompt: inner.prompt.take() })
    }

    /// Waits until the socket is to be closed. A task that is blocked in a write waits for this, too.
    pub async fn given_up(&self) -> Close {
        std::future::poll_fn(|context| {
            self.reader.register(context.waker());
            match self.inner().close {
                Some(close @ (Close::SlowConsumer | Close::Draining | Close::RateLimited | Close::AddressLimit)) => {
                    Poll::Ready(close)
                }
                _ => Poll::Pending,
            }
        })
        .await
    }

    /// The bytes that wait.
    pub fn waiting(&self) -> usize {
        self.inner().bytes
    }

    /// The maximum number of bytes that may wait.
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

    #[test]
    fn broadcasts_are_left_out_before_a_reader_is_given_up() {
        let broadcast = |number: u32| Frame::from(format!(r#"{{"type":"BROADCAST","n":{number}}}"#));
        let outbox = Outbox::new(4 * broadcast(0).len());
        outbox.push("state".into());
        for number in 0..9 {
            outbox.push(broadcast(number));
        }
        outbox.push("more".into());
        let batch = outbox.take().now_or_never().unwrap();
        assert_eq!(texts(&batch), ["state", &*broadcast(6), &*broadcast(7), &*broadcast(8), "more"][..]);
        assert_eq!((batch.close, batch.prompt.unwrap().left_out), (None, 6));
        outbox.push("x".repeat(4 * broadcast(0).len()).as_str().into());
        outbox.push(broadcast(1));
        let batch = outbox.take().now_or_never().unwrap();
        assert_eq!((batch.frames.len(), batch.prompt.unwrap().left_out), (1, 1), "what is not there makes no room");
        assert!(outbox.given_up().now_or_never().is_none());
    }
}
