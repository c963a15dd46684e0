//! Rooms whose records cannot be read.

use tandem::{
    backend::{BackendError, Commit},
    id::NodeId,
    replica::{Answer, Job, Request},
    room::{Command, Join, Policy, Room, decide},
};

use crate::{
    bench::{Bench, join, pending},
    name::room_id,
    store::START,
};

fn unreadable() -> BackendError {
    BackendError::Corrupt { what: "it".into(), why: "x".into() }
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
