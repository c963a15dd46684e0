use std::time::Instant;

use crate::{
    entries::entries,
    support::{Cluster, Worker, until},
};

/// `cargo test --release --test postgres speed -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
fn speed() {
    const COUNT: u64 = 200_000;
    let cluster = Cluster::start();
    let all = entries(COUNT);
    cluster.append(&all);
    let begun = Instant::now();
    let worker = Worker::start(&cluster, &[]);
    until("all are written", || cluster.waiting() == 0);
    let took = begun.elapsed();
    println!("{COUNT} events in {took:?}: {:.0} a second", COUNT as f64 / took.as_secs_f64());
    println!("{}", worker.get("/metrics").1);
}
