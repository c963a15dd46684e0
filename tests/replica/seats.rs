//! Who has a seat, and what its connection is told.

use std::sync::Arc;

use tandem::{
    backend::{BackendError, Commit, Inbox},
    id::NodeId,
    replica::{Answer, Job, PendingJoin, Request, Step, Turn, Why},
    room::{Action, Command, Digest, Join, Policy, Resume, StreamPosition, Update},
};

use crate::{
    bench::{Bench, conn, join, pending, resume, update, with_members},
    name::user,
    store::START,
};

#[test]
fn whoever_was_given_up_wrongly_is_not_told_that_it_left_and_takes_its_seat_again() {
    let mut bench = Bench::seated(&[1, 2]);
    let gone = Command::Disconnect { user: user(2), conn: conn(2), keep_seat: false };
    bench.hear(&gone);
    assert_eq!(bench.sent, ["1: USER_LEFT"]);
    assert_eq!(bench.replica.resync(), Some(Why::WrongEviction));
    let shared = bench.replica.room().clone();
    bench
        .turn(&Job::Tick, None, |request| match request {
            Request::Load => Answer::Loaded(Ok(Box::new(shared.clone()))),
            _ => Answer::Committed(Ok(Commit::Applied)),
        })
        .unwrap();
    assert_eq!(bench.sent[1..], ["2: DISCONTINUITY", "2: ROOM_STATE", "1: USER_JOINED"]);
    assert!(bench.replica.room().members.contains_key(&user(2)));
}

#[test]
fn whoever_cannot_have_its_seat_back_is_closed() {
    let mut bench = Bench::seated(&[1, 2]);
    bench.hear(&Command::Disconnect { user: user(2), conn: conn(2), keep_seat: true });
    // Meanwhile the member is kicked.
    bench.hear(&Command::Act { user: user(1), conn: conn(1), action: Action::Kick { who: user(2), note: None } });
    let shared = bench.replica.room().clone();
    bench.turn(&Job::Tick, None, |_| Answer::Loaded(Ok(Box::new(shared.clone())))).unwrap();
    assert_eq!(bench.sent.last().unwrap(), "2: closed, seat lost");
    assert_eq!(bench.replica.sessions(), 1);
}

#[test]
fn a_member_without_a_connection_is_given_up_when_the_room_is_loaded() {
    let mut bench = Bench::new();
    let shared = with_members(&[1, 2]);
    bench
        .turn(&Job::Enter(Command::Resume(resume(1))), Some(pending(3, None)), |request| match request {
            Request::Load => Answer::Loaded(Ok(Box::new(shared.clone()))),
            Request::Commit(_) => Answer::Committed(Ok(Commit::Applied)),
            other => unreachable!("{other:?}"),
        })
        .unwrap();
    assert_eq!(bench.requests, ["Load", "Commit", "Commit", "Commit"], "two ghosts, and one comes back");
    assert_eq!(bench.replica.away(), 1);
}

#[test]
fn who_comes_back_to_a_node_that_was_just_started_was_not_away_and_who_does_not_is_given_up_later() {
    let mut bench = Bench::new();
    bench.returning = true;
    let shared = with_members(&[1, 2]);
    let mut committed = Vec::new();
    let mut answer = |request| match request {
        Request::Load => Answer::Loaded(Ok(Box::new(shared.clone()))),
        Request::Commit(proposal) => {
            committed.push(format!("{:?}", proposal.update.changes[0]));
            Answer::Committed(Ok(Commit::Applied))
        }
        other => unreachable!("{other:?}"),
    };
    bench.turn(&Job::Enter(Command::Resume(resume(1))), Some(pending(3, None)), &mut answer).unwrap();
    assert_eq!(bench.requests, ["Load", "Commit"], "only that one comes back");
    assert_eq!(bench.replica.away(), 0);
    assert!(bench.replica.keeps_ghosts());

    bench.returning = false;
    let shared = bench.replica.room().clone();
    bench
        .turn(&Job::Tick, None, |request| match request {
            Request::Load => Answer::Loaded(Ok(Box::new(shared.clone()))),
            Request::Commit(_) => Answer::Committed(Ok(Commit::Applied)),
            other => unreachable!("{other:?}"),
        })
        .unwrap();
    assert_eq!(bench.requests, ["Load", "Commit", "Load", "Commit"], "the other one");
    assert_eq!(bench.replica.away(), 1);
    assert!(!bench.replica.keeps_ghosts());
}

#[test]
fn one_node_runs_what_is_due_and_the_others_only_if_it_does_not() {
    let mut bench = Bench::seated(&[2]);
    bench.hear(&Command::Join(Join { node: NodeId::parse("m").unwrap(), ..join(1) }));
    let late = |bench: &mut Bench| {
        let due = bench.replica.next_due(&Policy::default()).unwrap();
        bench.with(|replica, env, _| replica.timeout(env)).unwrap() - due
    };
    let gone = |number| Command::Disconnect { user: user(number), conn: conn(number.into()), keep_seat: true };
    bench.with(|replica, _, _| replica.disconnect(&user(2), conn(2)));
    bench.hear(&gone(2));
    assert_eq!(late(&mut bench), 500, "the only one who is there is on the other node");
    bench.hear(&gone(1));
    assert_eq!(late(&mut bench), 0, "nobody is there, and the first was on this node");
}

#[test]
fn what_is_overdue_when_a_room_is_loaded_is_first_left_to_the_node_that_runs_it() {
    let mut bench = Bench::new();
    bench.returning = true;
    let mut shared = with_members(&[1, 2]);
    Arc::make_mut(&mut shared.members).get_mut(&user(1)).unwrap().node = NodeId::parse("m").unwrap();
    shared.empty_until = Some(1);
    bench.turn(&Job::Adopt, None, |_| Answer::Loaded(Ok(Box::new(shared.clone())))).unwrap();
    assert_eq!(bench.replica.next_due(&Policy::default()), Some(1));
    assert_eq!(bench.with(|replica, env, _| replica.timeout(env)), Some(START + 500));
}

#[test]
fn a_seat_that_came_without_an_answer_is_a_seat_and_nothing_is_told_twice() {
    let mut bench = Bench::seated(&[1]);
    let before = bench.replica.room().clone();
    let from = StreamPosition { epoch: before.epoch, version: before.version };
    bench.hear(&Command::Disconnect { user: user(1), conn: conn(1), keep_seat: true });
    bench.with(|replica, _, _| replica.disconnect(&user(1), conn(1)));
    let shared = bench.replica.room().clone();
    let mut known: Vec<Arc<Update>> = Vec::new();
    let join = PendingJoin { conn: conn(3), ..pending(3, Some(from)) };
    let job = Job::Enter(Command::Resume(resume(1)));
    let (mut turn, step) = bench.with(|replica, env, out| Turn::begin(&job, Some(join), replica, env, out));
    let Step::Do(Request::Load) = step else { panic!("{step:?}") };
    let step =
        bench.with(|replica, env, out| turn.answer(Answer::Loaded(Ok(Box::new(shared.clone()))), replica, env, out));
    let Step::Do(Request::Commit(proposal)) = step else { panic!("{step:?}") };
    known.push(Arc::clone(&proposal.update));
    bench.with(|replica, env, out| replica.update(&proposal.update, env, out));
    // The room goes on before the answer is known to be lost.
    let action = Action::Broadcast { event: "e".into(), data: None };
    for _ in 0..2 {
        let said = Command::Act { user: user(1), conn: conn(3), action: action.clone() };
        let news = Arc::new(update(bench.replica.room(), &said));
        known.push(Arc::clone(&news));
        bench.with(|replica, env, out| replica.update(&news, env, out));
    }
    let lost = Answer::Committed(Err(BackendError::Timeout));
    let step = bench.with(|replica, env, out| turn.answer(lost, replica, env, out));
    let Step::Do(Request::Missed { .. }) = step else { panic!("{step:?}") };
    let missed = Answer::Missed { history: Ok(Some(known)), inbox: Ok(Inbox::default()) };
    let step = bench.with(|replica, env, out| turn.answer(missed, replica, env, out));
    assert!(matches!(step, Step::Done(Ok(_))), "{step:?}");
    assert_eq!(bench.sent, ["3: RESUMED", "3: BROADCAST", "3: BROADCAST"]);
}

/// Another connection takes the seat during a replay, and ends. The replay has ended too, so no frame may wait for it.
#[test]
fn a_connection_that_was_displaced_during_its_replay_gets_its_frames_when_it_is_back() {
    let mut bench = Bench::seated(&[1]);
    let before = bench.replica.room().clone();
    let from = StreamPosition { epoch: before.epoch, version: before.version };
    bench.hear(&Command::Disconnect { user: user(1), conn: conn(1), keep_seat: true });
    bench.with(|replica, _, _| replica.disconnect(&user(1), conn(1)));
    let shared = bench.replica.room().clone();
    let join = PendingJoin { conn: conn(3), ..pending(3, Some(from)) };
    let job = Job::Enter(Command::Resume(resume(1)));
    let (mut turn, mut step) = bench.with(|replica, env, out| Turn::begin(&job, Some(join), replica, env, out));
    for answer in [Answer::Loaded(Ok(Box::new(shared))), Answer::Committed(Ok(Commit::Applied))] {
        assert!(matches!(step, Step::Do(_)), "{step:?}");
        step = bench.with(|replica, env, out| turn.answer(answer, replica, env, out));
    }
    let Step::Do(Request::Missed { .. }) = step else { panic!("{step:?}") };
    let elsewhere = Resume { conn: conn(9), node: NodeId::parse("other").unwrap(), ..resume(1) };
    bench.hear(&Command::Resume(Resume { proof: Digest::new([3; 32]).into(), ..elsewhere }));
    let missed = Answer::Missed { history: Ok(Some(Vec::new())), inbox: Ok(Inbox::default()) };
    let step = bench.with(|replica, env, out| turn.answer(missed, replica, env, out));
    assert!(matches!(step, Step::Done(Ok(_))), "{step:?}");
    bench.hear(&Command::Disconnect { user: user(1), conn: conn(9), keep_seat: true });
    assert_eq!(bench.sent, [] as [String; 0]);
    // It is asked for a sign of life, and gives one.
    bench.with(|replica, env, _| replica.reclaim(&user(1), conn(3), env));
    let shared = bench.replica.room().clone();
    bench
        .turn(&Job::Tick, None, |request| match request {
            Request::Load => Answer::Loaded(Ok(Box::new(shared.clone()))),
            _ => Answer::Committed(Ok(Commit::Applied)),
        })
        .unwrap();
    let action = Action::Broadcast { event: "e".into(), data: None };
    bench.hear(&Command::Act { user: user(1), conn: conn(3), action });
    assert_eq!(bench.sent, ["3: DISCONTINUITY", "3: ROOM_STATE", "3: BROADCAST"]);
}

/// A member whose node was taken for dead has come back, and then loses its connection. What it missed does not tell it that it has left.
#[test]
fn a_member_that_is_back_is_not_told_of_its_own_departure() {
    let mut bench = Bench::seated(&[1, 2]);
    let from = bench.replica.room().position();
    bench.with(|replica, _, _| replica.disconnect(&user(1), conn(1)));
    let mut missed = Vec::new();
    for command in [
        Command::Disconnect { user: user(1), conn: conn(1), keep_seat: false },
        Command::Join(Join { node: NodeId::parse("other").unwrap(), ..join(1) }),
        Command::Act { user: user(2), conn: conn(2), action: Action::Rename { username: "x".into() } },
        Command::Disconnect { user: user(1), conn: conn(1), keep_seat: true },
    ] {
        let news = Arc::new(update(bench.replica.room(), &command));
        bench.with(|replica, env, out| replica.update(&news, env, out));
        missed.push(news);
    }
    let shared = bench.replica.room().clone();
    let again = PendingJoin { conn: conn(3), ..pending(3, Some(from)) };
    bench
        .turn(&Job::Enter(Command::Resume(resume(1))), Some(again), |request| match request {
            Request::Load => Answer::Loaded(Ok(Box::new(shared.clone()))),
            Request::Missed { .. } => Answer::Missed { history: Ok(Some(missed.clone())), inbox: Ok(Inbox::default()) },
            _ => Answer::Committed(Ok(Commit::Applied)),
        })
        .unwrap();
    let told: Vec<_> = bench.sent.iter().filter_map(|sent| sent.strip_prefix("3: ")).collect();
    assert_eq!(told, ["RESUMED", "HOST_CHANGED", "USERNAME_UPDATED"]);
}
