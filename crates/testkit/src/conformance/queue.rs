use std::{collections::HashSet, time::Duration};

use tandem::{
    backend::{LedgerQueue, QueuedEntry},
    id::RoomId,
};

use crate::fixture::{ClusterFixture, Node, broadcast, join, nobody, read_all, room};

/// This number of entries of each room.
async fn commit(fixture: &impl ClusterFixture, rooms: &[RoomId], each: usize) {
    for room in rooms {
        let mut north = Node::subscribed(fixture, "north", room).await;
        north.commit(&join("ana", "north", false)).await;
        for number in 1..each {
            north.commit(&broadcast("ana", &number.to_string())).await;
        }
    }
}

/// The rooms and versions of the entries.
fn say(entries: &[QueuedEntry]) -> Vec<(RoomId, u64)> {
    let entries = entries.iter().map(|queued| queued.entry().unwrap().unwrap());
    entries.map(|entry| (entry.update.room.clone(), entry.update.version())).collect()
}

async fn waiting(worker: &mut dyn LedgerQueue) -> usize {
    worker.level().await.unwrap().unwrap().partitions.iter().map(|(length, _)| length).sum()
}

pub async fn entries_stay_in_the_hand_of_a_worker_until_they_are_acknowledged(fixture: &impl ClusterFixture) {
    let rooms = ["a", "b", "c"].map(room);
    commit(fixture, &rooms, 3).await;
    let north = fixture.member("south", nobody()).await;
    assert_eq!(north.poll_backlog().await.unwrap().entries, 9);
    let mut worker = fixture.worker("one");
    let first = read_all(&mut *worker).await;
    assert_eq!(first.len(), 9);
    for room in &rooms {
        let versions: Vec<u64> = say(&first).iter().filter(|(of, _)| of == room).map(|(_, version)| *version).collect();
        assert_eq!(versions, [2, 3, 4], "in order");
    }
    assert_eq!(read_all(&mut *worker).await, [], "all of it is in hand");
    assert_eq!(waiting(&mut *worker).await, 9);
    let mut again = fixture.worker("one");
    let second = read_all(&mut *again).await;
    assert_eq!(second, first, "a worker that begins again has the same in hand");
    let (some, rest) = second.split_at(4);
    again.acknowledge(&some.iter().collect::<Vec<_>>()).await.unwrap();
    assert_eq!(waiting(&mut *again).await, 5);
    assert_eq!(read_all(&mut *fixture.worker("one")).await, rest);
    again.acknowledge(&rest.iter().collect::<Vec<_>>()).await.unwrap();
    assert_eq!(read_all(&mut *fixture.worker("one")).await, []);
    assert_eq!(waiting(&mut *again).await, 0);
    assert_eq!(north.poll_backlog().await.unwrap().entries, 0);
    // And it goes on.
    commit(fixture, &[room("d")], 1).await;
    assert_eq!(say(&read_all(&mut *again).await), [(room("d"), 2)]);
}

pub async fn two_workers_share_the_entries(fixture: &impl ClusterFixture) {
    let (mut one, mut two) = (fixture.worker("one"), fixture.worker("two"));
    assert_eq!((read_all(&mut *one).await, read_all(&mut *two).await), (Vec::new(), Vec::new()));
    let mut seen = HashSet::new();
    for number in 0..6 {
        commit(fixture, &[room(&number.to_string())], 2).await;
        let worker = if number % 2 == 0 { &mut one } else { &mut two };
        seen.extend(say(&read_all(&mut **worker).await));
    }
    assert_eq!(seen.len(), 12);
    assert_eq!((read_all(&mut *one).await, read_all(&mut *two).await), (Vec::new(), Vec::new()), "nothing twice");
}

pub async fn what_one_worker_has_in_hand_stays_when_another_is_done(fixture: &impl ClusterFixture) {
    let (mut one, mut two) = (fixture.worker("one"), fixture.worker("two"));
    // One room, because its entries are in one partition.
    commit(fixture, &[room("r")], 2).await;
    let earlier = read_all(&mut *one).await;
    let mut north = Node::subscribed(fixture, "north", &room("r")).await;
    for number in 0..3 {
        north.commit(&broadcast("ana", &number.to_string())).await;
    }
    let later = read_all(&mut *two).await;
    assert_eq!((earlier.len(), later.len()), (2, 3));
    two.acknowledge(&later.iter().collect::<Vec<_>>()).await.unwrap();
    assert_eq!(waiting(&mut *two).await, 2, "what the other one has");
    assert_eq!(read_all(&mut *fixture.worker("one")).await, earlier);
    // What comes meanwhile was given to nobody, and stays as well.
    north.commit(&broadcast("ana", "meanwhile")).await;
    one.acknowledge(&earlier.iter().collect::<Vec<_>>()).await.unwrap();
    assert_eq!(waiting(&mut *one).await, 1);
    assert_eq!(say(&read_all(&mut *two).await), [(room("r"), 7)]);
}

pub async fn what_a_dead_worker_had_in_hand_is_taken_over(fixture: &impl ClusterFixture) {
    commit(fixture, &["a", "b"].map(room), 2).await;
    let (mut one, mut two) = (fixture.worker("one"), fixture.worker("two"));
    let had = read_all(&mut *one).await;
    assert_eq!((had.len(), read_all(&mut *two).await.len()), (4, 0));
    assert_eq!(two.take_over(Duration::from_hours(1)).await.unwrap(), [], "it is not dead yet");
    let taken = two.take_over(Duration::ZERO).await.unwrap();
    assert_eq!(taken, had);
    assert_eq!(read_all(&mut *fixture.worker("one")).await, [], "it has nothing in hand any more");
    assert_eq!(read_all(&mut *fixture.worker("two")).await, taken, "the other one has");
    two.acknowledge(&taken.iter().collect::<Vec<_>>()).await.unwrap();
    assert_eq!(one.take_over(Duration::ZERO).await.unwrap(), []);
}

pub async fn idle_workers_are_forgotten_and_busy_ones_are_not(fixture: &impl ClusterFixture) {
    let (mut idle, mut busy) = (fixture.worker("idle"), fixture.worker("busy"));
    commit(fixture, &[room("r")], 2).await;
    let done = read_all(&mut *idle).await;
    idle.acknowledge(&done.iter().collect::<Vec<_>>()).await.unwrap();
    commit(fixture, &[room("s")], 2).await;
    let had = read_all(&mut *busy).await;
    let mut watch = fixture.worker("watch");
    assert_eq!(watch.forget_workers(Duration::from_hours(1)).await.unwrap(), 0, "they have just been heard of");
    let forgotten = async {
        while watch.forget_workers(Duration::from_millis(1)).await.unwrap() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), forgotten).await.expect("one is forgotten");
    assert_eq!(watch.take_over(Duration::ZERO).await.unwrap(), had, "what the busy one has in hand is still known");
}
