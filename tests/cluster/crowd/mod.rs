//! Many clients that write down everything they are told, and what can be said of it afterwards.

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

/// What all members share.
pub(crate) struct Plan {
    /// Where the nodes are; a member that loses one goes on to the next.
    pub(crate) nodes: Vec<SocketAddr>,
    /// Between two messages of a member, at the most.
    pub(crate) pause: Duration,
    /// No more messages: everybody says a last word and waits for that of the others.
    pub(crate) closing: AtomicBool,
    /// Who has heard the last words of all in its room.
    pub(crate) content: Mutex<BTreeSet<String>>,
    /// Everybody goes.
    pub(crate) over: AtomicBool,
    /// When anybody was let in, however often.
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
    /// `rooms` rooms of `size`, the members of each spread over all nodes. Returns when all are in.
    pub(crate) async fn gather(rooms: usize, size: usize, plan: Plan) -> Self {
        let seed = rand::random::<u64>();
        println!("seed {seed}");
        let plan = Arc::new(plan);
        let mut members = JoinSet::new();
        let inside = Arc::new(Mutex::new(BTreeSet::new()));
        for place in 0..size {
            // The founders first.
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

    /// Everybody says a last word, again and again until all have heard that of all others in their room; then they go. What they wrote
    /// down.
    pub(crate) async fn disperse(self, within: Duration) -> Vec<Diary> {
        self.plan.closing.store(true, Ordering::Release);
        let begun = Instant::now();
        // What they have by then is what there is: the judge sees who lacks what.
        while self.plan.content.lock().unwrap().len() < self.rooms * self.size && begun.elapsed() < within {
            sleep(Duration::from_millis(50)).await;
        }
        self.plan.over.store(true, Ordering::Release);
        self.members.join_all().await
    }
}
