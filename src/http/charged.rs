use std::{
    future::{Future, poll_fn},
    pin::pin,
    time::{Duration, Instant},
};

/// Carries work out, and tells how long each step of it took: work that is given up was done up to there.
pub(super) async fn charged<F: Future>(work: F, charge: impl Fn(Duration)) -> F::Output {
    let mut work = pin!(work);
    poll_fn(|context| {
        let begun = Instant::now();
        let step = work.as_mut().poll(context);
        charge(begun.elapsed());
        step
    })
    .await
}
