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

/// Threads that want all processors, until this is dropped: also when the test fails, beside others of its binary.
struct Busy(Arc<AtomicBool>);

impl Busy {
    fn start() -> Self {
        let over = Arc::new(AtomicBool::new(false));
        for _ in 0..3 * thread::available_parallelism().unwrap().get() {
            let over = Arc::clone(&over);
            thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        Self(over)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_worker_knows_that_others_wait_for_a_processor_and_writes_all_the_same() {
    let cluster = Cluster::start();
    let worker = cluster.worker();
    until("it is ready", || worker.is_ready());
    let busy = Busy::start();
    let all = entries(2_000);
    cluster.append(&all);
    if Path::new("/proc/pressure/cpu").exists() {
        until("it knows", || worker.metric("tandem_worker_cpu_waiting_ratio") > 0.5);
    }
    cluster.settled(&all);
    drop(busy);
}
