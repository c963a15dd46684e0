//! Single turns against a store that says what the test wants.

use std::{cell::Cell, rc::Rc, sync::Arc};

use tandem::{
    backend::{BackendError, Commit, Inbox},
    clock::Millis,
    id::{ConnId, NodeId, UserId},
    protocol::Generation,
    replica::{Answer, Effect, Env, Failure, Job, PendingJoin, Replica, Request, Step, Turn, Why},
    room::{Action, Command, Digest, Join, Policy, Refusal, Resume, Room, StreamPosition, Update, decide},
};
use uuid::Uuid;

use crate::{
    name::{room_id, user},
    store::START,
};

/// A node, what it sent, and what it asked for.
struct Bench {
    replica: Replica<usize>,
    sent: Vec<String>,
    requests: Vec<String>,
    now: Rc<Cell<Millis>>,
}

fn conn(number: u128) -> ConnId {
    ConnId(Uuid::from_u128(number))
}

fn join(number: u8) -> Join {
    Join {
        user: user(number),
        conn: conn(u128::from(number)),
        node: NodeId::parse("n").unwrap(),
        origin: Digest::new([1; 32]).into(),
        username: None,
        pin: None,
        proof: None,
        token: Some(Digest::new([2; 32])),
        asked: None,
        again: false,
    }
}

fn pending(number: u8, missed: Option<StreamPosition>) -> PendingJoin<usize> {
    PendingJoin {
        conn: conn(u128::from(number)),
        handle: number.into(),
        budget: 1 << 20,
        generation: Generation::Current,
        features: &["resume"],
        token: None,
        missed,
    }
}

/// The room that these make.
fn with_members(numbers: &[u8]) -> Room {
    numbers.iter().fold(Room::vacant(room_id()), |room, number| {
        decide(&room, &Command::Join(join(*number)), &Policy::default(), START).unwrap().after
    })
}

impl Bench {
    fn new() -> Self {
        Self {
            replica: Replica::new(room_id()),
            sent: Vec::new(),
            requests: Vec::new(),
            now: Rc::new(Cell::new(START)),
        }
    }

    /// One that has loaded a room, and members who sit here.
    fn seated(numbers: &[u8]) -> Self {
        let mut bench = Self::new();
        for number in numbers {
            bench.enter(*number);
        }
        bench.requests.clear();
        bench.sent.clear();
        bench
    }

    fn enter(&mut self, number: u8) {
        let shared = self.replica.room().clone();
        let job = Job::Enter(Command::Join(join(number)));
        self.turn(&job, Some(pending(number, None)), |request| match request {
            Request::Load => Answer::Loaded(Ok(Box::new(shared.clone()))),
            Request::Recall => Answer::Recalled(None),
            Request::Commit(_) => Answer::Committed(Ok(Commit::Applied)),
            other => unreachable!("{other:?}"),
        })
        .unwrap();
    }

    fn with<R>(
        &mut self,
        call: impl FnOnce(&mut Replica<usize>, &Env<'_>, &mut dyn FnMut(Effect<'_, usize>)) -> R,
    ) -> R {
        let (node, policy) = (NodeId::parse("n").unwrap(), Policy::default());
        let ice = |_: &UserId| Vec::new();
        let env = Env { node: &node, policy: &policy, ping_interval: 1, ice: &ice, now: self.now.get() };
        let sent = &mut self.sent;
        call(&mut self.replica, &env, &mut |effect| match effect {
            Effect::Send { to, frame, .. } => {
                let frame: serde_json::Value = serde_json::from_str(frame).unwrap();
                sent.push(format!("{to}: {}", frame["type"].as_str().unwrap()));
            }
            Effect::Close { to, why } => sent.push(format!("{to}: closed, {}", why.reason())),
            _ => {}
        })
    }

    fn turn(
        &mut self,
        job: &Job,
        join: Option<PendingJoin<usize>>,
        mut answer: impl FnMut(Request) -> Answer,
    ) -> Result<u64, Failure> {
        let (mut turn, mut step) = self.with(|replica, env, out| Turn::begin(job, join, replica, env, out));
        loop {
            match step {
                Step::Done(result) => return result,
                Step::Do(request) => {
                    let text = format!("{request:?}");
                    self.requests.push(text.split(['(', ' ', '{']).next().unwrap().to_owned());
                    let answer = answer(request);
                    step = self.with(|replica, env, out| turn.answer(answer, replica, env, out));
                }
            }
        }
    }

    fn say(&mut self, answer: impl FnMut(Request) -> Answer) -> Result<u64, Failure> {
        let action = Action::Broadcast { event: "e".into(), data: None };
        self.turn(&Job::Command(Command::Act { user: user(1), conn: conn(1), action }), None, answer)
    }

    fn hear(&mut self, command: &Command) {
        let update = Arc::new(update(self.replica.room(), command));
        self.with(|replica, env, out| replica.update(&update, env, out));
    }
}

fn update(room: &Room, command: &Command) -> Update {
    let draft = decide(room, command, &Policy::default(), START).unwrap();
    Update { room: room.id.clone(), epoch: room.epoch, base: room.version, at: START, changes: draft.changes }
}

fn unreadable() -> BackendError {
    BackendError::Corrupt { what: "it".into(), why: "x".into() }
}

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
    // Nobody came again: it is let go of, once.
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
fn a_room_that_cannot_be_read_is_put_back_by_a_node_that_has_it() {
    let mut bench = Bench::seated(&[1]);
    let epoch = bench.replica.room().epoch;
    bench.with(|replica, env, _| replica.stale(env.now));
    let mut put_back = None;
    bench
        .say(|request| match request {
            Request::Load => Answer::Loaded(Err(unreadable())),
            Request::Repair { room, .. } => {
                put_back = Some(room);
                Answer::Restored(Ok(Commit::Applied))
            }
            _ => Answer::Committed(Ok(Commit::Applied)),
        })
        .unwrap();
    assert_eq!(bench.requests, ["Load", "Repair", "Commit"]);
    assert!(put_back.unwrap().epoch > epoch, "as another incarnation");
    assert_eq!(bench.sent, ["1: DISCONTINUITY", "1: ROOM_STATE", "1: BROADCAST"]);
}

#[test]
fn others_and_then_the_ledger_are_asked_for_a_room_that_cannot_be_read() {
    let elsewhere = Join { node: NodeId::parse("other").unwrap(), ..join(7) };
    let kept = decide(&Room::vacant(room_id()), &Command::Join(elsewhere), &Policy::default(), START).unwrap().after;
    for found in [Some(kept), None] {
        let mut bench = Bench::new();
        let known = found.is_some();
        let job = Job::Enter(Command::Join(Join { proof: None, ..join(1) }));
        let done = bench.turn(&job, Some(pending(1, None)), |request| match request {
            Request::Load => Answer::Loaded(Err(unreadable())),
            Request::Alarm => Answer::Alarmed(Ok(())),
            Request::Wait(_) => Answer::Waited,
            Request::Recall => Answer::Recalled(found.clone().map(Box::new)),
            Request::Repair { .. } => Answer::Restored(Ok(Commit::Applied)),
            Request::Commit(_) => Answer::Committed(Ok(Commit::Applied)),
            Request::Leave => Answer::Left,
            other => unreachable!("{other:?}"),
        });
        let looks: Vec<String> = ["Wait", "Load"].iter().cycle().take(20).map(|word| (*word).to_owned()).collect();
        assert_eq!(bench.requests[..2], ["Load", "Alarm"]);
        assert_eq!(bench.requests[2..22], looks[..]);
        assert_eq!(bench.requests[22], "Recall");
        assert_eq!(done.is_ok(), known, "what nobody has is not made anew: {done:?}");
        assert_eq!(bench.requests[23..], if known { ["Repair", "Commit"].as_slice() } else { &["Leave"] }[..]);
    }
}

#[test]
fn a_room_that_changes_whenever_it_is_read_is_read_eight_times() {
    let mut bench = Bench::seated(&[1]);
    bench.with(|replica, env, _| replica.stale(env.now));
    let failed = bench.say(|request| match request {
        // It has lost everything, and somebody else always puts it back first.
        Request::Load => Answer::Loaded(Ok(Box::new(Room::vacant(room_id())))),
        _ => Answer::Restored(Ok(Commit::Conflict)),
    });
    assert!(matches!(failed, Err(Failure::Backend(BackendError::Contended(_)))));
    assert_eq!(bench.requests.len(), 16);
    assert_eq!(bench.replica.resync(), Some(Why::Contended));
}

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
    // Meanwhile it was thrown out.
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

fn resume(number: u8) -> Resume {
    Resume {
        user: user(number),
        conn: conn(3),
        node: NodeId::parse("n").unwrap(),
        origin: Digest::new([1; 32]).into(),
        proof: Digest::new([2; 32]).into(),
        token: Digest::new([3; 32]),
    }
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
    // Before it is known that there is no answer, the room goes on.
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
