use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

/// Limits the number of sockets, and refuses new ones while the node drains or has no shared state.
#[derive(Debug)]
pub struct Admission {
    open: AtomicUsize,
    most: AtomicUsize,
    closed: AtomicBool,
    paused: AtomicBool,
    overloaded: AtomicBool,
}

/// A place for one socket, which is freed when this is dropped.
#[derive(Debug)]
pub(super) struct Place(Arc<Admission>);

impl Admission {
    /// An admission with `most` places.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            open: AtomicUsize::new(0),
            most: AtomicUsize::new(most),
            closed: AtomicBool::new(false),
            paused: AtomicBool::new(false),
            overloaded: AtomicBool::new(false),
        })
    }

    /// Sets the number of places. Sockets that are open stay.
    pub fn set_most(&self, most: usize) {
        self.most.store(most, Ordering::Relaxed);
    }

    /// Refuses new sockets for good, because the node stops.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// Refuses new sockets while shared state cannot be reached.
    pub fn pause(&self, paused: bool) {
        self.paused.store(paused, Ordering::Release);
    }

    /// Refuses new sockets while there is no CPU time or no memory for them.
    pub fn overload(&self, overloaded: bool) {
        self.overloaded.store(overloaded, Ordering::Release);
    }

    /// Whether new sockets are refused because there is no CPU time or no memory for them.
    pub fn is_overloaded(&self) -> bool {
        self.overloaded.load(Ordering::Acquire)
    }

    /// Whether new sockets are refused for now, because shared state cannot be reached.
    pub fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Acquire)
    }

    /// Whether [`Admission::close`] was called.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// The number of open sockets.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// The number of files that HTTP connections may borrow from sockets that are not there: half of their places. A socket that comes was
    /// an HTTP connection before, so it brings its file with it.
    pub fn lent(&self) -> usize {
        self.most.load(Ordering::Relaxed).saturating_sub(self.open()) / 2
    }

    pub(super) fn enter(self: &Arc<Self>) -> Option<Place> {
        let accepts = !self.is_closed() && !self.is_paused() && !self.is_overloaded();
        let most = self.most.load(Ordering::Relaxed);
        let free = |open| (open < most && accepts).then_some(open + 1);
        let taken = self.open.fetch_update(Ordering::AcqRel, Ordering::Relaxed, free);
        taken.ok().map(|_| Place(Arc::clone(self)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_and_given_back() {
        let admission = Admission::new(2);
        let first = admission.enter();
        let second = admission.enter();
        assert!(first.is_some() && second.is_some() && admission.enter().is_none());
        drop(first);
        let third = admission.enter();
        assert!(third.is_some());
        assert_eq!((admission.open(), admission.lent()), (2, 0));
        drop(third);
        admission.pause(true);
        assert!(admission.enter().is_none());
        admission.pause(false);
        admission.overload(true);
        assert!(admission.enter().is_none());
        admission.overload(false);
        assert!(admission.enter().is_some());
        admission.close();
        assert!(admission.enter().is_none());
    }
}
