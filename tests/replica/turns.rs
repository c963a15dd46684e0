//! Single turns against a store that answers what the test wants.

use std::{rc::Rc, sync::Arc};

use tandem::{
    backend::{BackendError, Commit},
    replica::{Answer, Failure, Job, Request, Step, Turn, Why},
    room::{Action, Command, Refusal, Room},
};

use crate::{
    bench::{Bench, conn, join, pending, update},
    name::{room_id, user},
    store::START,
};

#[test]
fn a_join_of_a_new_room_loads_it_asks_the_ledger_and_commits() {
    let mut bench = Bench::new();
    bench.enter(1);
    assert_eq!(bench.requests, ["Load", "Recall", "Commit"]);
    assert_eq!(bench.sent, ["1: ROOM_STATE"]);
    bench.requests.clear();
    bench.enter(2);
    assert_eq!(bench.requests, ["Commit"]);
    assert_eq!(bench.sent, ["1: ROOM_STATE", "2: ROOM_STATE", "1: USER_JOINED"]);
}

#[test]
fn what_nobody_is_in_any_more_is_let_go_of_and_nothing_follows() {
    let mut bench = Bench::new();
    let job = Job::Command(Command::Disconnect { user: user(1), conn: conn(1), keep_seat: false });
    let refused = bench.turn(&job, None, |_| unreachable!());
    assert!(matches!(refused, Err(Failure::Refused(Refusal::NotJoined))));
    let done = bench.turn(&Job::Orphan(Command::Tick), None, |request| match request {
        Request::Load => Answer::Loaded(Ok(Box::new(Room::vacant(room_id())))),
        Request::Leave => Answer::Left,
        other => unreachable!("{other:?}"),
    });
    assert_eq!((done.unwrap(), bench.replica.is_retired()), (0, true));
    assert!(matches!(bench.turn(&Job::Tick, None, |_| unreachable!()), Err(Failure::Retired)));
}

#[test]
fn a_turn_that_is_broken_off_leaves_nothing_that_is_trusted() {
    let mut bench = Bench::new();
    let job = Job::Enter(Command::Join(join(1)));
    let (_, step) = bench.with(|replica, env, out| Turn::begin(&job, Some(pending(1, None)), replica, env, out));
    assert!(matches!(step, Step::Do(Request::Load)));
    bench.with(|replica, env, _| replica.abandon(env.now));
    // Nobody joins again, so the room is left, once.
    assert_eq!(bench.with(|replica, env, _| replica.timeout(env)), Some(START + 1_000));
    bench.turn(&Job::Tick, None, |_| Answer::Left).unwrap();
    assert_eq!((bench.requests, bench.replica.is_retired()), (vec!["Leave".into()], true));

    let mut bench = Bench::seated(&[1]);
    let action = Action::Leave;
    let job = Job::Command(Command::Act { user: user(1), conn: conn(1), action });
    let (_, step) = bench.with(|replica, env, out| Turn::begin(&job, None, replica, env, out));
    assert!(matches!(step, Step::Do(Request::Commit(_))));
    bench.with(|replica, env, _| replica.abandon(env.now));
    assert_eq!(bench.replica.resync(), Some(Why::Broken));
    assert_eq!(bench.with(|replica, env, _| replica.timeout(env)), Some(START + 1_000));
}

#[test]
fn a_commit_without_an_answer_is_looked_up_before_anything_else_is_decided() {
    let mut bench = Bench::seated(&[1]);
    let failed = bench.say(|_| Answer::Committed(Err(BackendError::Timeout)));
    assert!(matches!(failed, Err(Failure::Backend(BackendError::Timeout))));
    assert_eq!(bench.replica.resync(), Some(Why::Unanswered));
    let shared = bench.replica.room().clone();
    bench.requests.clear();
    bench
        .say(|request| match request {
            Request::Load => Answer::Loaded(Ok(Box::new(shared.clone()))),
            _ => Answer::Committed(Ok(Commit::Applied)),
        })
        .unwrap();
    assert_eq!((bench.requests, bench.replica.resync()), (vec!["Load".into(), "Commit".into()], None));
}

#[test]
fn a_conflict_is_decided_again_at_once_where_the_other_update_is_here() {
    let mut bench = Bench::seated(&[1, 2]);
    let rename = Command::Act { user: user(2), conn: conn(2), action: Action::Rename { username: "x".into() } };
    let other = Arc::new(update(bench.replica.room(), &rename));
    let action = Action::Broadcast { event: "e".into(), data: None };
    let job = Job::Command(Command::Act { user: user(1), conn: conn(1), action });
    let (mut turn, step) = bench.with(|replica, env, out| Turn::begin(&job, None, replica, env, out));
    let Step::Do(Request::Commit(first)) = step else { panic!("{step:?}") };
    bench.with(|replica, env, out| replica.update(&other, env, out));
    let conflict = Answer::Committed(Ok(Commit::Conflict));
    let step = bench.with(|replica, env, out| turn.answer(conflict, replica, env, out));
    let Step::Do(Request::Commit(second)) = step else { panic!("{step:?}") };
    assert_eq!((first.update.base + 1, other.version()), (second.update.base, second.update.base));
}

#[test]
fn a_conflict_with_something_that_was_missed_loads_the_room_and_goes_on() {
    let mut bench = Bench::seated(&[1, 2]);
    let rename = Command::Act { user: user(2), conn: conn(2), action: Action::Rename { username: "x".into() } };
    let mut shared = bench.replica.room().clone();
    let missed = Arc::new(update(&shared, &rename));
    missed.changes.iter().for_each(|change| shared.apply(change, START));
    let later = Arc::new(update(&shared, &rename));
    later.changes.iter().for_each(|change| shared.apply(change, START));
    let action = Action::Broadcast { event: "e".into(), data: None };
    let job = Job::Command(Command::Act { user: user(1), conn: conn(1), action });
    let (mut turn, step) = bench.with(|replica, env, out| Turn::begin(&job, None, replica, env, out));
    assert!(matches!(step, Step::Do(Request::Commit(_))), "{step:?}");
    bench.with(|replica, env, out| replica.update(&later, env, out));
    assert_eq!(bench.replica.resync(), Some(Why::Gap));
    for (answer, next) in [
        (Answer::Committed(Ok(Commit::Conflict)), "Do(Load"),
        (Answer::Loaded(Ok(Box::new(shared.clone()))), "Do(History"),
        (Answer::History(Ok(Some(vec![missed, later]))), "Do(Commit"),
        (Answer::Committed(Ok(Commit::Applied)), "Done(Ok"),
    ] {
        let step = bench.with(|replica, env, out| turn.answer(answer, replica, env, out));
        assert!(format!("{step:?}").starts_with(next), "{step:?} instead of {next}");
    }
    let told = ["USERNAME_UPDATED", "USERNAME_UPDATED", "BROADCAST"];
    let to_one: Vec<_> = bench.sent.iter().filter_map(|sent| sent.strip_prefix("1: ")).collect();
    assert_eq!(to_one, told);
}

#[test]
fn a_conflict_with_nothing_waits_and_is_given_up_after_a_while() {
    let mut bench = Bench::seated(&[1]);
    let mut waited = Vec::new();
    let failed = bench.say(|request| match request {
        Request::Wait(millis) => {
            waited.push(millis);
            Answer::Waited
        }
        _ => Answer::Committed(Ok(Commit::Conflict)),
    });
    assert!(matches!(failed, Err(Failure::Backend(BackendError::Contended(_)))));
    assert_eq!((waited.len(), &waited[..7]), (16, &[1, 2, 4, 8, 16, 32, 32][..]));
    assert_eq!(bench.replica.resync(), Some(Why::Contended));
}

#[test]
fn whoever_loses_slow_races_is_answered_after_five_seconds() {
    let mut bench = Bench::seated(&[1]);
    let now = Rc::clone(&bench.now);
    let failed = bench.say(|request| {
        if let Request::Wait(_) = request {
            return Answer::Waited;
        }
        now.set(now.get() + 1_000);
        Answer::Committed(Ok(Commit::Conflict))
    });
    assert!(matches!(failed, Err(Failure::Backend(BackendError::Contended(_)))));
    assert_eq!(bench.requests.iter().filter(|request| *request == "Commit").count(), 6);
}

#[test]
fn a_room_that_changes_whenever_it_is_read_is_read_eight_times() {
    let mut bench = Bench::seated(&[1]);
    bench.with(|replica, env, _| replica.stale(env.now));
    let failed = bench.say(|request| match request {
        // The store has lost everything, and another node always restores the room first.
        Request::Load => Answer::Loaded(Ok(Box::new(Room::vacant(room_id())))),
        _ => Answer::Restored(Ok(Commit::Conflict)),
    });
    assert!(matches!(failed, Err(Failure::Backend(BackendError::Contended(_)))));
    assert_eq!(bench.requests.len(), 16);
    assert_eq!(bench.replica.resync(), Some(Why::Contended));
}
