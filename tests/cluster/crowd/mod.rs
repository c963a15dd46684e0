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
    /// Whether members can resume; otherwise they are of the first generation.
    pub(crate) modern: bool,
    /// No more messages: everybody says a last word and waits for that of the others.
    pub(crate) closing: AtomicBool,
    /// No more connecting.
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
                assert!(begun.elapsed() < Duration::from_secs(60), "{count} of {} are in", rooms * (place + 1));
                sleep(Duration::from_millis(10)).await;
            }
        }
        Self { plan, rooms, size, members }
    }

    /// Everybody says a last word, waits until it has heard that of all others in its room, and goes. What they wrote down.
    pub(crate) async fn disperse(mut self, within: Duration) -> Vec<Diary> {
        self.plan.closing.store(true, Ordering::Release);
        let begun = Instant::now();
        let mut diaries = Vec::new();
        loop {
            let left = within.saturating_sub(begun.elapsed());
            match tokio::time::timeout(left, self.members.join_next()).await {
                Ok(Some(diary)) => diaries.push(diary.unwrap()),
                Ok(None) => return diaries,
                // What they have by now is what there is: the judge sees who lacks what.
                Err(_) => self.plan.over.store(true, Ordering::Release),
            }
            assert!(begun.elapsed() < within * 2, "{} members do not end", self.members.len());
        }
    }
}
