use rand::{SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use tandem::{
    config::PostgresConfig,
    ledger::{Database, Entry},
};

use crate::{
    entries::{closed, digest, entry, film, left, member, now, room, seated},
    support::{Cluster, until},
};

pub fn database(cluster: &Cluster) -> Database {
    #[derive(clap::Parser)]
    struct Settings {
        #[command(flatten)]
        postgres: PostgresConfig,
    }
    let url = cluster.postgres.url();
    let settings = ["x", "--database-url", &url, "--postgres-timeout-seconds", "4"];
    let settings = <Settings as clap::Parser>::parse_from(settings);
    Database::new(&settings.postgres).unwrap()
}

pub fn block<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn rooms(cluster: &Cluster) -> String {
    cluster
        .postgres
        .sql("SELECT id, epoch, version, \"current_time\", current_url, archived_at IS NULL FROM rooms ORDER BY 1")
}

fn users(cluster: &Cluster) -> String {
    cluster.postgres.sql("SELECT id, username, role, seat_order, epoch, version, left_at IS NULL FROM users ORDER BY 1")
}

/// In any order, in any batches, twice: the newest wins.
#[test]
fn the_newest_wins() {
    let cluster = Cluster::start();
    let database = database(&cluster);
    let mut all: Vec<Entry> = (1..=20).map(|version| entry("room", 1, version)).collect();
    all.extend((1..=10).map(|version| entry("room", 2, version)));
    all.push(seated("room", 2, 11, member("ana", 1)));
    all.push(seated("room", 2, 12, member("ben", 2)));
    all.push(left("room", 2, 13, "ben"));
    all.push(seated("room", 1, 30, member("ben", 9)));
    all.extend((14..=16).map(|version| film("room", 2, version)));
    all.push(entry("closed", 1, 1));
    all.push(film("closed", 1, 2));
    all.push(closed("closed", 1, 3));
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    for round in 0..10 {
        cluster.postgres.sql("TRUNCATE rooms, users, room_events");
        let mut shuffled: Vec<&Entry> = all.iter().chain(&all).collect();
        if round > 0 {
            shuffled.shuffle(&mut random);
        }
        let size = 1 + round * 7;
        block(async {
            for batch in shuffled.chunks(size) {
                database.write(batch).await.unwrap();
            }
        });
        let there = rooms(&cluster);
        // What was played last is known of the room that is closed, too.
        let wanted = "closed|1|3|2.1|https://example.org/1|f\nroom|2|16|16.1|https://example.org/13|t";
        assert_eq!(there, wanted, "round {round}, seed {seed}");
        let people = users(&cluster);
        assert!(people.contains("ana|The ana|co-host|1|2|11|t"), "round {round}, seed {seed}: {people}");
        // If the departure arrives first, only the departure is known.
        let ben = people.lines().find(|line| line.starts_with("ben")).unwrap();
        assert!(ben.ends_with("|2|13|f"), "round {round}, seed {seed}: {people}");
        assert_eq!(cluster.events(), all.len());
        if round == 0 {
            assert_eq!(ben, "ben|The ben|co-host|2|2|13|f");
        }
    }
}

#[test]
fn closing_in_the_same_batch_keeps_what_was_played() {
    let cluster = Cluster::start();
    let database = database(&cluster);
    block(database.write(&[&entry("a", 1, 1), &entry("a", 1, 2), &closed("a", 1, 3)])).unwrap();
    assert_eq!(rooms(&cluster), "a|1|3|2.1|https://example.org/2|f");
    block(database.write(&[&entry("a", 2, 1)])).unwrap();
    assert_eq!(rooms(&cluster), "a|2|1|1.1|https://example.org/1|t", "it is opened again");
}

#[test]
fn of_a_batch_that_was_written_in_part_the_rest_is_written() {
    let cluster = Cluster::start();
    let database = database(&cluster);
    let all: Vec<Entry> = (1..=9).map(|version| film("room", 1, version)).collect();
    let write = |some: &[Entry]| block(database.write(&some.iter().collect::<Vec<_>>())).unwrap();
    assert_eq!(write(&all[..4]), 4);
    assert_eq!(write(&all), 5);
    assert_eq!(write(&all), 0);
    assert_eq!(cluster.events(), 9);
    assert_eq!(rooms(&cluster), "room|1|9|9.1||t");
}

/// Whoever opens a room again must know its PIN.
#[test]
fn a_room_of_which_the_film_has_come_first_is_not_recalled() {
    let cluster = Cluster::start();
    let database = database(&cluster);
    let recalled = || block(database.recall(&room("room"))).unwrap();
    block(database.write(&[&film("room", 1, 5)])).unwrap();
    assert_eq!(recalled(), None);
    block(database.write(&[&entry("room", 1, 4)])).unwrap();
    let row = recalled().unwrap();
    assert_eq!((row.version, row.position, row.pin), (5, 5.1, Some(digest(2))));
    block(database.write(&[&film("room", 2, 6)])).unwrap();
    assert_eq!(recalled(), None, "the state is that of another epoch");
    block(database.write(&[&entry("room", 2, 1)])).unwrap();
    let row = recalled().unwrap();
    assert_eq!((row.epoch, row.version, row.position, row.url.as_deref()), (2, 6, 6.1, Some("https://example.org/1")));
}

#[test]
fn a_room_is_recalled() {
    let cluster = Cluster::start();
    let database = database(&cluster);
    let mut known = entry("room", 7, 3);
    known.state.as_mut().unwrap().empty_until = Some(now() + 1_000);
    block(async {
        assert_eq!(database.recall(&room("room")).await.unwrap(), None);
        database.write(&[&known]).await.unwrap();
        assert_eq!(database.recall(&room("room")).await.unwrap(), Some(known.row()));
        assert_eq!(database.recall(&room("else")).await.unwrap(), None);
    });
    cluster.postgres.sql("UPDATE rooms SET updated_at = now() - interval '25 hours'");
    assert_eq!(block(database.recall(&room("room"))).unwrap(), None, "too old");
    cluster.postgres.sql("UPDATE rooms SET updated_at = now(), archived_at = now()");
    assert_eq!(block(database.recall(&room("room"))).unwrap(), None, "closed");
}

#[test]
fn a_question_has_a_deadline() {
    let cluster = Cluster::start();
    let database = database(&cluster);
    block(async {
        database.ping().await.unwrap();
        cluster.postgres.pause();
        let begun = std::time::Instant::now();
        assert!(database.recall(&room("room")).await.is_err());
        assert!(begun.elapsed() < std::time::Duration::from_secs(15), "{:?}", begun.elapsed());
        cluster.postgres.resume();
        assert_eq!(database.recall(&room("room")).await.unwrap(), None);
    });
}

/// The server has a deadline, too, but a server that hangs does not keep it.
#[test]
fn an_answer_that_never_comes_has_a_deadline() {
    let cluster = Cluster::start();
    let database = database(&cluster);
    let _locked = cluster.postgres.session("BEGIN; LOCK TABLE rooms; SELECT pg_sleep(1000)");
    let locks =
        |granted| format!("SELECT count(*) FROM pg_locks WHERE relation = 'rooms'::regclass AND granted = {granted}");
    until("it is locked", || cluster.postgres.number(&locks(true)) > 0);
    let asking = std::thread::spawn(move || {
        let begun = std::time::Instant::now();
        (block(database.recall(&room("room"))).is_err(), begun.elapsed())
    });
    until("it waits", || cluster.postgres.number(&locks(false)) > 0);
    cluster.postgres.pause();
    let begun = std::time::Instant::now();
    while !asking.is_finished() && begun.elapsed() < std::time::Duration::from_secs(30) {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert!(asking.is_finished(), "it waits for ever");
    assert!(asking.join().unwrap().0);
    cluster.postgres.resume();
}
