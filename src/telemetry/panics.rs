use std::{
    any::Any,
    backtrace::Backtrace,
    future::Future,
    panic::{self, AssertUnwindSafe},
    sync::atomic::{AtomicU64, Ordering},
};

use futures_util::FutureExt as _;

static PANICS: AtomicU64 = AtomicU64::new(0);

/// Panics of this process, caught or not, for the metrics.
pub fn panics() -> u64 {
    PANICS.load(Ordering::Relaxed)
}

/// Installs a hook that logs and counts each panic, with the ids of the connection that it happened on.
pub fn log_panics() {
    panic::set_hook(Box::new(|panic| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        let at = panic.location().map(ToString::to_string).unwrap_or_default();
        let thread = std::thread::current().name().unwrap_or_default().to_owned();
        let backtrace = Backtrace::capture().to_string();
        tracing::error!(error = message(panic.payload()), at, thread, backtrace, "panic: this is a bug in tandem");
    }));
}

fn message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// Runs `work` to its end; `None` if it panics. The caller then has to check what `work` was changing.
pub fn contained<F: Future>(work: F) -> impl Future<Output = Option<F::Output>> {
    AssertUnwindSafe(work).catch_unwind().map(Result::ok)
}

/// The same as [`contained`], for work that does not wait.
pub fn contained_call<T>(work: impl FnOnce() -> T) -> Option<T> {
    panic::catch_unwind(AssertUnwindSafe(work)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_ends_only_the_contained_work() {
        assert_eq!(contained(async { 1 }).await, Some(1));
        assert_eq!(contained(async { assert_eq!(1, 2) }).await, None);
        assert_eq!(contained_call(|| 3), Some(3));
        assert_eq!(contained_call::<()>(|| panic!("on purpose")), None);
    }

    #[test]
    fn string_payloads_are_logged() {
        let text = |payload: Box<dyn Any + Send>| message(&*payload).to_owned();
        assert_eq!(text(Box::new("plain")), "plain");
        assert_eq!(text(Box::new("made".to_owned())), "made");
        assert_eq!(text(Box::new(7)), "no message");
    }
}
