//! The judge sees each kind of crime: a story in which nothing went wrong is forged in one place.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use std::{collections::HashMap, sync::OnceLock};

use serde_json::{Value, json};
use sim::{
    judge::{Crime, judge},
    plan::{Act, Plan, Step, Word},
    record::{Entered, Event, Line, digest},
    world::play,
};
use tandem::room::{Change, LeftReason};

/// Nothing but clients that come, go, and signal each other, one of which drops in between.
fn honest() -> Vec<Entered> {
    static STORY: OnceLock<Vec<Entered>> = OnceLock::new();
    let story = STORY.get_or_init(|| {
        let mut plan = Plan::draw(7);
        plan.clients = vec![true, true, false, true, true, false];
        plan.steps.retain(|step| matches!(step.act, Act::Say(_, word) if word != Word::Kick));
        for at in 0..300 {
            plan.steps.push(Step { at: 20_000 + at * 100, act: Act::Say(0, Word::Offer) });
        }
        for (client, at) in [(1, 21_000), (3, 24_000), (4, 27_000), (1, 30_000), (3, 33_000)] {
            plan.steps.push(Step { at, act: Act::Drop(client) });
        }
        plan.steps.sort_by_key(|step| step.at);
        play(&plan)
    });
    story.clone()
}

fn crimes(events: &[Entered]) -> Vec<Crime> {
    judge(events).into_iter().map(|verdict| verdict.crime).collect()
}

fn got(events: &[Entered], kind: &str) -> Vec<usize> {
    let is = |entered: &Entered| matches!(&entered.event, Event::Got { frame, .. } if frame["type"] == kind);
    (0..events.len()).filter(|place| is(&events[*place])).collect()
}

fn line(entered: &Entered) -> Line {
    let (Event::Got { line, .. } | Event::Sent { line, .. }) = &entered.event else { panic!("{entered:?}") };
    *line
}

fn frame(entered: &mut Entered) -> &mut Value {
    let (Event::Got { frame, .. } | Event::Sent { frame, .. }) = &mut entered.event else { panic!("it has no frame") };
    frame
}

/// Forges an honest story, in which the judge is to find this then.
fn forged(crime: Crime, forge: impl FnOnce(&mut Vec<Entered>)) {
    let mut events = honest();
    forge(&mut events);
    let found = crimes(&events);
    assert!(found.contains(&crime), "{crime:?} is not among {found:?}");
}

#[test]
fn an_honest_story_has_no_crime() {
    assert_eq!(judge(&honest()), []);
    assert_ne!(digest(&honest()), digest(&honest()[1..]));
}

#[test]
fn a_frame_that_a_member_did_not_get() {
    for kind in ["BROADCAST", "PLAY_PAUSE", "USERNAME_UPDATED", "MEMBER_AWAY", "USER_JOINED"] {
        forged(Crime::Lost, |events| drop(events.remove(got(events, kind)[1])));
    }
}

#[test]
fn the_last_frame_that_a_member_did_not_get() {
    forged(Crime::Lost, |events| drop(events.remove(*got(events, "BROADCAST").last().unwrap())));
}

#[test]
fn a_panic_that_was_contained() {
    forged(Crime::Panic, |events| {
        let place = events.len() - 1;
        let at = events[place].at;
        events.insert(place, Entered { at, event: Event::Panic { what: "forged".to_owned() } });
    });
}

/// The last acknowledged broadcast, lost at once; by then its node knew of it, or not, or died of it.
fn forget(mut events: Vec<Entered>, forge: impl FnOnce(&mut Vec<Entered>, usize)) -> Vec<Crime> {
    let lost = events.iter().rposition(|entered| {
        matches!(&entered.event, Event::Commit { update, .. } if format!("{:?}", update.changes).contains("Broadcast"))
    });
    let lost = lost.unwrap();
    let Event::Commit { marks, .. } = events[lost].event.clone() else { unreachable!() };
    forge(&mut events, lost);
    let Some(Entered { event: Event::End { rooms, .. }, .. }) = events.last_mut() else { panic!() };
    rooms[0].lineage_hash = marks.0;
    crimes(&events)
}

#[test]
fn what_a_node_knew_has_to_be_put_back_unless_the_node_died() {
    let loss = |events: &mut Vec<Entered>, place: usize| {
        let at = events[place - 1].at;
        events.insert(place, Entered { at, event: Event::Loss { since: 0 } });
    };
    let known = |events: &[Entered], lost: usize| {
        let Event::Commit { update, .. } = &events[lost].event else { unreachable!() };
        let position = update.position();
        let known = (lost..events.len())
            .find(|place| matches!(&events[*place].event, Event::Known { point, .. } if *point == position));
        known.unwrap()
    };
    let unheard = forget(honest(), |events, lost| loss(events, lost + 1));
    assert!(!unheard.contains(&Crime::Forgotten), "{unheard:?}");
    let heard = forget(honest(), |events, lost| loss(events, known(events, lost) + 1));
    assert!(heard.contains(&Crime::Forgotten), "{heard:?}");
    let dead = forget(honest(), |events, lost| {
        let known = known(events, lost);
        let Event::Known { node, .. } = events[known].event.clone() else { unreachable!() };
        loss(events, known + 1);
        let at = events[known].at;
        events.insert(known + 2, Entered { at, event: Event::Died { node } });
    });
    assert!(!dead.contains(&Crime::Forgotten), "{dead:?}");
    // All that have the room stand still until somebody else founds it.
    let founded = forget(honest(), |events, lost| {
        let known = known(events, lost);
        let at = events[known].at;
        loss(events, known + 1);
        let Event::Commit { update, .. } = events[lost].event.clone() else { unreachable!() };
        let mut created = (*update).clone();
        (created.base, created.epoch, created.changes) = (0, update.epoch + 1, Vec::new());
        let created = Event::Commit { update: std::sync::Arc::new(created), marks: (0, 1), entry: None };
        events.insert(known + 2, Entered { at, event: created });
        for (before, node) in ["n0", "n1", "n2"].into_iter().enumerate() {
            let node = tandem::id::NodeId::parse(node).unwrap();
            events.insert(known + 3 + before, Entered { at, event: Event::Woke { node: node.clone() } });
            events.insert(known, Entered { at, event: Event::Paused { node } });
        }
    });
    assert!(!founded.contains(&Crime::Forgotten), "{founded:?}");
    // Another commit got the same version later.
    let again = forget(honest(), |events, lost| {
        let known = events[known(events, lost)].clone();
        loss(events, lost + 1);
        events.insert(lost + 2, known);
    });
    assert!(!again.contains(&Crime::Forgotten), "{again:?}");
}

#[test]
fn two_frames_in_the_wrong_order() {
    forged(Crime::Order, |events| {
        let broadcasts = got(events, "BROADCAST");
        let first = broadcasts[3];
        let second =
            broadcasts.iter().copied().find(|place| *place > first && line(&events[*place]) == line(&events[first]));
        events.swap(first, second.unwrap());
    });
}

#[test]
fn a_frame_of_another_epoch_without_a_state() {
    forged(Crime::Order, |events| {
        let place = got(events, "BROADCAST")[3];
        frame(&mut events[place])["epoch"] = json!(1);
    });
}

#[test]
fn a_frame_twice_and_one_that_says_something_else() {
    forged(Crime::Invented, |events| {
        let place = got(events, "BROADCAST")[3];
        events.insert(place, events[place].clone());
    });
    forged(Crime::Invented, |events| {
        let place = got(events, "BROADCAST")[3];
        frame(&mut events[place])["data"] = json!("forged");
    });
}

#[test]
fn something_acknowledged_that_never_was() {
    forged(Crime::Forgotten, |events| {
        let words: HashMap<u64, usize> = (0..events.len())
            .filter_map(|place| match &events[place].event {
                Event::Sent { frame, .. } if frame["type"] == "PING" => Some((frame["id"].as_u64()?, place)),
                _ => None,
            })
            .collect();
        let (id, place) = words.iter().min().unwrap();
        *frame(&mut events[*place]) = json!({"type": "BROADCAST", "event": "e", "id": id, "data": id});
        let line = line(&events[*place]);
        let ack = json!({"type": "ACK", "id": id, "version": 3});
        let at = events[*place].at;
        events.insert(place + 1, Entered { at, event: Event::Got { line, frame: ack } });
    });
}

#[test]
fn something_acknowledged_that_did_not_last() {
    forged(Crime::Forgotten, |events| {
        let mark = events.iter().find_map(|entered| match &entered.event {
            Event::Commit { marks, .. } => Some(marks.1),
            _ => None,
        });
        let Some(Entered { event: Event::End { rooms, .. }, .. }) = events.last_mut() else { panic!() };
        rooms[0].lineage_hash = mark.unwrap();
    });
}

#[test]
fn something_that_happened_twice() {
    forged(Crime::Twice, |events| {
        let place = (0..events.len()).find(|place| {
            matches!(&events[*place].event, Event::Commit { update, .. } if format!("{:?}", update.changes).contains("Broadcast"))
        });
        let again = events[place.unwrap()].clone();
        events.insert(place.unwrap(), again);
    });
}

#[test]
fn a_member_without_a_socket_and_a_client_that_was_not_let_in() {
    for crime in [Crime::Ghost, Crime::Seat] {
        forged(crime, |events| {
            let Some(Entered { event: Event::End { clients, .. }, .. }) = events.last_mut() else { panic!() };
            clients[1] = None;
        });
    }
}

#[test]
fn a_client_that_quit_is_not_waited_for() {
    let waited_for =
        |events: &[Entered]| judge(events).iter().any(|verdict| verdict.what == "client 1 was not let in again");
    let mut events = honest();
    let Some(Entered { event: Event::End { clients, .. }, .. }) = events.last_mut() else { panic!() };
    clients[1] = None;
    assert!(waited_for(&events));
    events.insert(0, Entered { at: 0, event: Event::Quit { client: 1 } });
    assert!(!waited_for(&events));
}

#[test]
fn nobody_was_let_in() {
    let none = "nobody was ever let in";
    let mut events = honest();
    assert!(judge(&events).iter().all(|verdict| verdict.what != none));
    events.retain(|entered| matches!(entered.event, Event::End { .. }));
    assert!(judge(&events).iter().any(|verdict| verdict.what == none));
}

#[test]
fn a_member_that_others_still_see() {
    forged(Crime::Ghost, |events| {
        let place = got(events, "USER_JOINED")[0];
        let user = frame(&mut events[place])["userId"].as_str().unwrap().to_owned();
        let Some(Entered { event: Event::End { rooms, .. }, .. }) = events.last_mut() else { panic!() };
        let room = &mut rooms[0];
        let user = tandem::id::UserId::parse(&user).unwrap();
        std::sync::Arc::make_mut(&mut room.members).shift_remove(&user);
    });
}

#[test]
fn a_seat_that_is_another_socket() {
    forged(Crime::Seat, |events| {
        let Some(Entered { event: Event::End { rooms, .. }, .. }) = events.last_mut() else { panic!() };
        let members = std::sync::Arc::make_mut(&mut rooms[0].members);
        members.values_mut().next().unwrap().conn = tandem::id::ConnId::random();
    });
}

#[test]
fn two_hosts_and_none() {
    forged(Crime::Hosts, |events| {
        let place = *got(events, "ROOM_STATE").last().unwrap();
        for user in frame(&mut events[place])["users"].as_array_mut().unwrap() {
            user["role"] = json!("host");
        }
    });
    forged(Crime::Hosts, |events| {
        let Some(Entered { event: Event::End { rooms, .. }, .. }) = events.last_mut() else { panic!() };
        rooms[0].host = None;
    });
}

#[test]
fn a_kept_seat_that_was_not_there() {
    forged(Crime::KeptSeat, |events| {
        let place = got(events, "RESUMED")[0];
        let line = line(&events[place]);
        let id = events.iter().find_map(|entered| match &entered.event {
            Event::Sent { line: on, frame } if *on == line && frame["type"] == "RESUME" => frame["id"].as_u64(),
            _ => None,
        });
        *frame(&mut events[place]) = json!({"type": "ERROR", "code": "unauthorized", "id": id});
    });
}

#[test]
fn a_token_that_was_shown_twice_may_be_refused() {
    let mut events = honest();
    let place = got(&events, "RESUMED")[0];
    let on = line(&events[place]);
    let id = events.iter().find_map(|entered| match &entered.event {
        Event::Sent { line, frame } if *line == on && frame["type"] == "RESUME" => frame["id"].as_u64(),
        _ => None,
    });
    *frame(&mut events[place]) = json!({"type": "ERROR", "code": "unauthorized", "id": id});
    assert!(crimes(&events).contains(&Crime::KeptSeat));
    let back = (0..place)
        .rev()
        .find(|place| matches!(&events[*place].event, Event::Commit { update, .. } if format!("{:?}", update.changes).contains("Back")))
        .unwrap();
    let Event::Commit { update, .. } = &mut events[back].event else { unreachable!() };
    let Some(Change::Back { member, .. }) = std::sync::Arc::make_mut(update).changes.first_mut() else { panic!() };
    (member.token_beside, member.token_before) = (member.token.map(Box::new), None);
    assert!(!crimes(&events).contains(&Crime::KeptSeat));
}

#[test]
fn a_seat_that_was_taken_in_the_same_millisecond_after_the_refusal() {
    let mut events = honest();
    let place = events
        .iter()
        .position(|entered| matches!(&entered.event, Event::Sent { frame, .. } if frame["type"] == "RESUME"))
        .unwrap();
    let (line, at) = (line(&events[place]), events[place].at);
    let refused = json!({"type": "ERROR", "code": "not_joined", "id": frame(&mut events[place])["id"]});
    // Its seat is given up before, and is taken by that very commit again.
    let back = (place..events.len())
        .find(|place| matches!(&events[*place].event, Event::Commit { update, .. } if format!("{:?}", update.changes).contains("Back")))
        .unwrap();
    let Event::Commit { update, marks, .. } = events[back].event.clone() else { unreachable!() };
    let Some(Change::Back { member, .. }) = update.changes.first() else { panic!("{update:?}") };
    let mut left = (*update).clone();
    left.epoch += 1;
    left.changes = vec![Change::Left {
        user: member.user.clone(),
        conn: member.conn,
        reason: LeftReason::Expired,
        vacancy: None,
        empty_until: None,
    }];
    let left = Event::Commit { update: std::sync::Arc::new(left), marks: (marks.0, marks.0 + 1), entry: None };
    events[back].at = at;
    events.insert(place + 1, Entered { at, event: Event::Got { line, frame: refused } });
    assert!(crimes(&events).contains(&Crime::KeptSeat));
    events.insert(place + 1, Entered { at, event: left });
    assert!(!crimes(&events).contains(&Crime::KeptSeat));
}

#[test]
fn a_replica_that_differs() {
    forged(Crime::Replicas, |events| {
        let Some(Entered { event: Event::End { replicas, .. }, .. }) = events.last_mut() else { panic!() };
        replicas[0].1.guest_control ^= true;
    });
}

#[test]
fn an_event_that_the_ledger_lacks_and_one_that_never_was() {
    forged(Crime::Ledger, |events| {
        let Some(Entered { event: Event::End { ledger, .. }, .. }) = events.last_mut() else { panic!() };
        ledger.pop();
    });
    forged(Crime::Ledger, |events| {
        let Some(Entered { event: Event::End { ledger, .. }, .. }) = events.last_mut() else { panic!() };
        ledger.push("forged".to_owned());
    });
}

#[test]
fn signals_in_another_order_and_twice() {
    forged(Crime::Signals, |events| {
        // Long after anybody moved, so that each sender has one socket.
        let offers: Vec<_> = got(events, "OFFER").into_iter().filter(|place| events[*place].at > 41_000).collect();
        let mut pairs: HashMap<(Line, String), usize> = HashMap::new();
        for place in offers {
            let from = frame(&mut events[place])["from"].as_str().unwrap().to_owned();
            if let Some(before) = pairs.insert((line(&events[place]), from), place) {
                return events.swap(before, place);
            }
        }
        panic!("nobody got two");
    });
    forged(Crime::Signals, |events| {
        let place = got(events, "OFFER")[0];
        let mut again = events[place].clone();
        frame(&mut again)["signalId"] = json!("another");
        events.insert(place + 1, again);
    });
}

#[test]
fn a_kept_signal_that_was_dropped() {
    let events = honest();
    let seen = got(&events, "OFFER").into_iter().any(|place| {
        let mut less = events.clone();
        less.remove(place);
        crimes(&less).contains(&Crime::Signals)
    });
    assert!(seen, "no signal was kept for anybody, or the judge does not see that one is missing");
}

#[test]
fn a_signal_that_came_on_the_socket_before_was_not_kept() {
    let events = honest();
    let mut moved = 0;
    for place in got(&events, "OFFER") {
        let (mut story, (client, socket)) = (events.clone(), line(&events[place]));
        let mut received = story.remove(place);
        if !crimes(&story).contains(&Crime::Signals) {
            continue;
        }
        let id = &frame(&mut received)["offer"]["n"];
        let is_it = |entered: &Entered| matches!(&entered.event, Event::Sent { frame, .. } if frame["id"] == *id);
        let sent = story.iter().position(is_it).unwrap();
        let Event::Got { frame, .. } = received.event else { panic!("{received:?}") };
        let event = Event::Got { line: (client, socket - 1), frame };
        story.insert(sent + 1, Entered { at: story[sent].at, event });
        assert_eq!(crimes(&story), []);
        moved += 1;
    }
    assert!(moved > 0, "no signal was kept for anybody");
}
