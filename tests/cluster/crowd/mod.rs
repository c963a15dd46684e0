//! A crowd of clients that record everything they receive in diaries, and a judge of these.

mod judge;
mod member;

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{task::JoinSet, time::sleep};

pub(crate) use judge::{Row, Verdict, judge};
pub(crate) use member::{Diary, Told};

/// The plan that all members share.
pub(crate) struct Plan {
    /// The addresses of the nodes; a member that loses one connects to the next.
    pub(crate) nodes: Vec<SocketAddr>,
    /// Maximum pause between two messages of a member.
    pub(crate) pause: Duration,
    /// No more messages: each member sends a last one and waits for those of the others.
    pub(crate) closing: AtomicBool,
    /// The members that have received the last messages of all others in their room.
    pub(crate) content: Mutex<BTreeSet<String>>,
    /// All members leave.
    pub(crate) over: AtomicBool,
    /// The times at which members were admitted.
    pub(crate) arrivals: Mutex<Vec<Instant>>,
}

pub(crate) struct Crowd {
    pub(crate) plan: Arc<Plan>,
    pub(crate) rooms: usize,
    pub(crate) size: usize,
    members: JoinSet<Diary>,
}

pub(crate) const URL: &str = "https://films.example.org/1";
pub(crate) const PIN: &str = "4711";

pub(crate) fn room(number: usize) -> String {
    format!("room-{number}")
}

impl Crowd {
    /// Starts `rooms` rooms of `size` members, spread over all nodes. Returns when all have joined.
    pub(crate) async fn gather(rooms: usize, size: usize, plan: Plan) -> Self {
        let seed = rand::random::<u64>();
        println!("seed {seed}");
        let plan = Arc::new(plan);
        let mut members = JoinSet::new();
        let inside = Arc::new(Mutex::new(BTreeSet::new()));
        for place in 0..size {
            // The first members create the rooms.
            for number in 0..rooms {
                members.spawn(member::live(Arc::clone(&plan), Arc::clone(&inside), number, place, seed));
            }
            let begun = Instant::now();
            while inside.lock().unwrap().len() < rooms * (place + 1) {
                let count = inside.lock().unwrap().len();
                assert!(begun.elapsed() < Duration::from_mins(1), "{count} of {} are in", rooms * (place + 1));
                sleep(Duration::from_millis(10)).await;
            }
        }
        Self { plan, rooms, size, members }
    }

    /// Each member repeats a last message until all others in its room have received it; then all leave. Returns the diaries.
    pub(crate) async fn disperse(self, within: Duration) -> Vec<Diary> {
        self.plan.closing.store(true, Ordering::Release);
        let begun = Instant::now();
        // After that the diaries are final: the judge sees what is missing.
        while self.plan.content.lock().unwrap().len() < self.rooms * self.size && begun.elapsed() < within {
            sleep(Duration::from_millis(50)).await;
        }
        self.plan.over.store(true, Ordering::Release);
        self.members.join_all().await
    }
}
