//! A machine that is short of processors.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use crate::{
    entries::entries,
    support::{Cluster, until},
};

#[test]
fn a_worker_knows_that_others_wait_for_a_processor_and_writes_all_the_same() {
    let cluster = Cluster::start();
    let worker = cluster.worker();
    until("it is ready", || worker.is_ready());
    let over = Arc::new(AtomicBool::new(false));
    let busy: Vec<_> = (0..3 * thread::available_parallelism().unwrap().get())
        .map(|_| {
            let over = Arc::clone(&over);
            thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            })
        })
        .collect();
    let all = entries(2_000);
    cluster.append(&all);
    if Path::new("/proc/pressure/cpu").exists() {
        until("it knows", || worker.metric("tandem_worker_cpu_waiting_ratio") > 0.5);
    }
    cluster.settled(&all);
    over.store(true, Ordering::Relaxed);
    for one in busy {
        one.join().unwrap();
    }
}
