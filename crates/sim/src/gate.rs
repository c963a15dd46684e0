//! Pauses a node, like a virtual machine that is stopped for a while. Everything else goes on.

use std::{
    pin::Pin,
    sync::Arc,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
};

#[derive(Debug, Default)]
pub struct Gate {
    shut: AtomicBool,
    waiting: Mutex<Vec<Waker>>,
}

/// A future of a node, which is only polled while the node runs.
struct Gated<F> {
    gate: Arc<Gate>,
    inner: Pin<Box<F>>,
}

impl Gate {
    pub fn shut(&self) {
        self.shut.store(true, Ordering::Relaxed);
    }

    pub fn open(&self) {
        self.shut.store(false, Ordering::Relaxed);
        for waker in std::mem::take(&mut *self.waiting.lock().unwrap()) {
            waker.wake();
        }
    }

    pub fn is_shut(&self) -> bool {
        self.shut.load(Ordering::Relaxed)
    }

    pub fn through<F: Future>(self: &Arc<Self>, inner: F) -> impl Future<Output = F::Output> + use<F> {
        Gated { gate: Arc::clone(self), inner: Box::pin(inner) }
    }
}

impl<F: Future> Future for Gated<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        if self.gate.is_shut() {
            self.gate.waiting.lock().unwrap().push(context.waker().clone());
            return Poll::Pending;
        }
        self.inner.as_mut().poll(context)
    }
}
