//! The judge sees who comes in that was shut out: an honest moderated story is forged in one place.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use std::sync::{Arc, OnceLock};

use serde_json::{Value, json};
use sim::{
    judge::{Crime, judge},
    plan::{Act, Plan, Step, Word},
    record::{Entered, Event},
    world::play,
};
use tandem::{
    id::UserId,
    room::{Ban, Change, Digest, Member, Update},
};

/// The host, who is the first to come, decides about all others, and clients come and go.
fn honest() -> Vec<Entered> {
    static STORY: OnceLock<Vec<Entered>> = OnceLock::new();
    let story = STORY.get_or_init(|| {
        let mut plan = Plan::draw(10);
        assert!(plan.moderated);
        plan.steps
            .retain(|step| matches!(step.act, Act::Say(_, word) if word != Word::Kick && word != Word::TransferHost));
        plan.clients = vec![true, true, true, true, true, false];
        for client in 0..6 {
            for (word, at) in
                [(Word::Ban, 9_000), (Word::ListBans, 10_000), (Word::SetPin, 15_000), (Word::Ban, 30_000)]
            {
                plan.steps.push(Step { at, act: Act::Say(client, word) });
            }
            plan.steps.push(Step { at: 16_000 + 4_000 * client as u64, act: Act::Leave(client) });
        }
        plan.steps.sort_by_key(|step| step.at);
        play(&plan)
    });
    story.clone()
}

fn commits(events: &[Entered], which: impl Fn(&Change) -> bool) -> Vec<usize> {
    let is =
        |entered: &Entered| matches!(&entered.event, Event::Commit { update, .. } if update.changes.iter().any(&which));
    (0..events.len()).filter(|place| is(&events[*place])).collect()
}

/// What the judge says after something is slipped in, right before the last guest who was not there before comes in.
fn slipped_in(made: impl FnOnce(&Member) -> Change) -> String {
    let mut events = honest();
    let guest = |change: &Change| matches!(change, Change::Joined { host: false, .. });
    let last = *commits(&events, guest).last().unwrap();
    let Entered { at, event: Event::Commit { update, marks, .. } } = events[last].clone() else { panic!() };
    let joins = update.changes.iter().find_map(|change| match change {
        Change::Joined { member, .. } => Some(member.clone()),
        _ => None,
    });
    let forged = Update { changes: vec![made(&joins.unwrap())], base: update.base, ..(*update).clone() };
    // It leads to the version from which the guest came in.
    let event = Event::Commit { update: Arc::new(forged), marks: (marks.0, marks.0), entry: None };
    events.insert(last, Entered { at, event });
    told(&events, Crime::Doors)
}

/// What the judge says about one kind of crime.
fn told(events: &[Entered], crime: Crime) -> String {
    let found = judge(events).into_iter().filter(|verdict| verdict.crime == crime).map(|verdict| verdict.what);
    found.collect::<Vec<_>>().join("; ")
}

#[test]
fn an_honest_story_with_bans_locks_and_pins_has_no_crime() {
    assert_eq!(judge(&honest()), []);
    for which in ["Banned", "Locked", "PinSet"] {
        let is = |change: &Change| format!("{change:?}").starts_with(which);
        assert!(!commits(&honest(), is).is_empty(), "no {which} in the story");
    }
}

#[test]
fn somebody_came_in_who_was_shut_out() {
    let ban = |user: &UserId, origin: Option<Digest>| Change::Banned {
        ban: Ban { user: user.clone(), username: None, origin, at: 0 },
        by: user.clone(),
        note: None,
    };
    let stranger = UserId::parse("stranger").unwrap();
    for (expected, found) in [
        ("somebody came in, and is banned", slipped_in(|guest| ban(&guest.user, None))),
        ("somebody came in, and is banned", slipped_in(|guest| ban(&stranger, Some(guest.origin)))),
        (
            "somebody came into a locked room",
            slipped_in(|guest| Change::Locked { locked: true, by: guest.user.clone() }),
        ),
        (
            "somebody came in with a wrong PIN",
            slipped_in(|guest| Change::PinSet { pin: Some(Digest::new([7; 32])), by: guest.user.clone() }),
        ),
    ] {
        assert!(found.contains(expected), "{expected} is not in: {found}");
    }
}

#[test]
fn somebody_decided_who_may_not() {
    let stranger = UserId::parse("stranger").unwrap();
    for (expected, made) in [
        ("and is not the host", Change::PinSet { pin: None, by: stranger.clone() }),
        ("locked or opened the room, and leads nobody", Change::Locked { locked: false, by: stranger.clone() }),
        ("lifted a ban, and leads nobody", Change::Unbanned { user: stranger.clone(), by: stranger.clone() }),
    ] {
        let found = slipped_in(|_| made);
        assert!(found.contains(expected), "{expected} is not in: {found}");
    }
}

/// The frames of one type that were acknowledged.
fn acknowledged(events: &[Entered], kind: &str) -> Vec<usize> {
    let is_ack = |id: &Value| {
        events.iter().any(|entered| matches!(&entered.event, Event::Got { frame, .. } if frame["type"] == "ACK" && frame["id"] == *id))
    };
    let is = |entered: &Entered| matches!(&entered.event, Event::Sent { frame, .. } if frame["type"] == kind && is_ack(&frame["id"]));
    (0..events.len()).filter(|place| is(&events[*place])).collect()
}

#[test]
fn an_acknowledged_decision_that_never_was() {
    for (kind, field, forged) in [("SET_PIN", "pin", json!("000000")), ("BAN", "targetUserId", json!("stranger"))] {
        let mut events = honest();
        let place = acknowledged(&events, kind)[0];
        let Event::Sent { frame, .. } = &mut events[place].event else { panic!() };
        frame[field] = forged;
        let found = told(&events, Crime::Forgotten);
        assert!(found.contains(kind), "{kind}: {found}");
    }
}

#[test]
fn a_list_of_bans_that_never_was() {
    let mut events = honest();
    for entered in &mut events {
        if let Event::Got { frame, .. } = &mut entered.event
            && frame["type"] == "BANS"
        {
            frame["bans"] = json!([{"userId": "stranger"}]);
        }
    }
    assert!(told(&events, Crime::Invented).contains("stranger"), "{}", told(&events, Crime::Invented));
}

#[test]
fn a_room_that_the_store_has_otherwise() {
    let mut events = honest();
    let Some(Entered { event: Event::End { rooms, .. }, .. }) = events.last_mut() else { panic!() };
    rooms[0].locked ^= true;
    assert_ne!(told(&events, Crime::Doors), "");
}
