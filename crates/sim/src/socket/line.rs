use std::{
    future::{Future as _, poll_fn},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    sync::mpsc,
    time::{Instant, Sleep, sleep_until},
};

use crate::chance::Dice;

/// How long a message takes at most, in milliseconds.
const LONGEST: u64 = 20;

/// The sending end of one direction.
pub(super) struct Sender<T> {
    to: mpsc::UnboundedSender<(Instant, T)>,
    last: Instant,
    dice: Dice,
}

/// The receiving end. Messages come in order, each at its time; cancelling a wait loses none of them.
pub(super) struct Receiver<T> {
    from: mpsc::UnboundedReceiver<(Instant, T)>,
    next: Option<T>,
    due: Pin<Box<Sleep>>,
}

pub(super) fn line<T>(dice: Dice) -> (Sender<T>, Receiver<T>) {
    let (to, from) = mpsc::unbounded_channel();
    let now = Instant::now();
    (Sender { to, last: now, dice }, Receiver { from, next: None, due: Box::pin(sleep_until(now)) })
}

impl<T> Sender<T> {
    pub(super) fn put(&mut self, what: T) {
        self.last = self.last.max(Instant::now() + Duration::from_millis(self.dice.between(0, LONGEST)));
        // Nobody receives it when the other end is gone.
        let _ = self.to.send((self.last, what));
    }
}

impl<T> Receiver<T> {
    /// Waits for the next message; `None` once the other end is gone.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<T>> {
        if self.next.is_none() {
            let Some((at, what)) = ready!(self.from.poll_recv(context)) else { return Poll::Ready(None) };
            self.next = Some(what);
            self.due.as_mut().reset(at);
        }
        if self.due.deadline() > Instant::now() {
            ready!(self.due.as_mut().poll(context));
        }
        Poll::Ready(self.next.take())
    }

    pub(super) async fn recv(&mut self) -> Option<T> {
        poll_fn(|context| self.poll(context)).await
    }
}
