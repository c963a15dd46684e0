use proptest::prelude::*;
use tandem::{
    id::UserId,
    room::{Ban, Change, Command, LeftReason, Refusal, Removal, Role, Room, Update, next_due},
};

use crate::world::{Op, World, op};

/// A step takes up to 20 s, so that every grace runs out now and then.
fn story() -> impl Strategy<Value = Vec<(u64, Op)>> {
    prop::collection::vec((0..20_000_u64, op()), 1..80)
}

fn check_shape(room: &Room) {
    if !room.exists() {
        assert_eq!(*room, Room::vacant(room.id.clone()), "a room that does not exist has nothing");
        return;
    }
    if let Some(host) = &room.host {
        assert!(room.members.contains_key(host), "the host is a member");
        assert_eq!(room.vacancy, None, "a role that somebody has is kept for nobody");
    }
    if room.members.values().any(tandem::room::Member::present) {
        assert!(room.host.is_some() || room.vacancy.is_some(), "there is a host, or there will be");
    }
    assert_eq!(room.empty_until.is_some(), room.members.is_empty(), "only an empty room is about to be closed");
    if let Some(gate) = &room.gate {
        assert!(room.timeline.playing, "a gate is for a film that runs");
        for waiting in &gate.waiting {
            let member = room.members.get(waiting).expect("a gate waits for members");
            assert!(member.present() && member.watching, "that are there and watch");
        }
    }
    let orders: Vec<_> = room.members.values().map(|member| member.order).collect();
    assert!(orders.windows(2).all(|pair| pair[0] < pair[1]), "members stand in the order in which they came");
    assert!(room.removed.len() <= Room::MAX_REMOVED && room.bans.len() <= Room::MAX_BANS);
    assert!(room.kicked.is_empty(), "only earlier releases shut an id out");
    assert!(room.members.keys().all(|user| !room.bans.contains_key(user)), "nobody who is banned is here");
}

/// Whether a user may control the player, written independently of the core.
fn controls(room: &Room, user: &UserId) -> bool {
    let co_host = room.members.get(user).is_some_and(|member| matches!(member.role, Role::CoHost));
    room.guest_control || co_host || room.host.as_ref() == Some(user)
}

fn check_rights(before: &Room, world: &World, command: &Command, changes: &[Change]) {
    for change in changes {
        match change {
            Change::PlayPause { by, .. } | Change::Sought { by, .. } | Change::UrlChanged { by, .. } => {
                assert!(controls(before, by), "nobody unauthorised moves playback: {change:?}");
            }
            Change::Locked { by, .. } | Change::Banned { by, .. } | Change::Unbanned { by, .. } => {
                assert!(before.leads(by), "only leaders moderate");
            }
            Change::PinSet { by, .. } => assert!(before.is_host(by), "only the host sets a PIN"),
            Change::Heartbeat { by, .. } => assert!(before.leads(by), "only leaders set the pace"),
            Change::Corrected { by, .. } => assert!(before.is_host(by), "only the host is believed"),
            Change::Released { timeline, .. } => {
                let sought = changes.iter().any(|change| matches!(change, Change::Sought { .. }));
                assert!(sought || *timeline == before.timeline, "opening a gate moves nothing");
            }
            Change::Left { reason: LeftReason::Removed { by, .. }, user, .. } => {
                assert!(before.leads(by) && !before.is_host(user));
            }
            Change::Joined { member, .. } if before.exists() => {
                match command {
                    Command::Join(join) => {
                        assert!(
                            before.pin.is_none_or(|pin| join.pin.is_some_and(|shown| shown.fits(pin))),
                            "nobody comes in without the PIN"
                        );
                        let retry = tandem::room::decide(
                            &Room { pin: Some(crate::world::digest(77)), ..before.clone() },
                            command,
                            &world.policy,
                            world.now,
                        );
                        assert!(retry.is_err(), "nor with another");
                    }
                    Command::Reattach(old) => assert!(old.conn == member.conn && old.user == member.user),
                    _ => panic!("only a JOIN lets anybody in"),
                }
                let is_removed = |removal: &Removal| removal.user == member.user && removal.origin == member.origin;
                assert!(!before.removed.iter().any(is_removed), "nobody who was kicked comes back from there");
                let is_banned = |ban: &Ban| ban.user == member.user || ban.origin == Some(member.origin);
                assert!(!before.bans.values().any(is_banned), "nor anybody who is banned");
                assert!(before.members.len() < world.policy.max_members);
            }
            Change::Rejoined { member, .. } | Change::Back { member, .. } => {
                let seat = before.members.get(&member.user).unwrap();
                assert!(!matches!(command, Command::Reattach(_)) || !seat.present(), "nobody is thrown out of a seat");
            }
            _ => {}
        }
    }
    let moved = changes.iter().any(|change| {
        use Change::{Closed, Corrected, Created, Heartbeat, PlayPause, Sought, UrlChanged};
        matches!(
            change,
            Created { .. }
                | PlayPause { .. }
                | Sought { .. }
                | Heartbeat { .. }
                | Corrected { .. }
                | UrlChanged { .. }
                | Closed
        )
    });
    assert!(moved || before.timeline == world.room.timeline, "nothing else moves the film");
}

/// What is due happens at its time and not before, and comes to an end.
fn check_clockwork(world: &World) {
    let Some(due) = next_due(&world.room, &world.policy) else { return };
    let early = World { room: world.room.clone(), now: due.saturating_sub(1), ..World::default() };
    if early.now >= world.now {
        let draft = tandem::room::decide(&early.room, &Command::Tick, &world.policy, early.now).unwrap();
        assert!(draft.changes.is_empty(), "too early: {:?}", draft.changes);
    }
    let mut later = World { room: world.room.clone(), now: due.max(world.now), ..World::default() };
    let mut steps = 0;
    while !later.run(&Command::Tick).unwrap().is_empty() {
        check_shape(&later.room);
        steps += 1;
        assert!(steps < 20, "a room does not tick for ever");
    }
    assert!(steps > 0, "what is due is done");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn any_story_keeps_the_rules(story in story()) {
        let mut world = World::default();
        for (pause, op) in story {
            world.now += pause;
            let before = world.room.clone();
            let command = world.command(&op);
            match world.run(&command) {
                Ok(changes) => {
                    let closed = changes.iter().any(|change| matches!(change, Change::Closed));
                    let grown = if closed { 0 } else { before.version + changes.len() as u64 };
                    assert_eq!(world.room.version, grown, "one version a change");
                    if before.exists() && world.room.exists() {
                        assert_eq!(world.room.epoch, before.epoch);
                    }
                    check_rights(&before, &world, &command, &changes);
                }
                Err(refusal) => {
                    assert_eq!(world.room, before, "a refusal changes nothing");
                    if let (Refusal::NotJoined, Command::Act { user, .. }) = (refusal, &command) {
                        assert!(!before.members.contains_key(user));
                    }
                }
            }
            check_shape(&world.room);
            check_clockwork(&world);
        }
    }

    #[test]
    fn a_replica_that_hears_every_change_is_the_room(story in story()) {
        let mut world = World::default();
        for (pause, op) in story {
            world.now += pause;
            let command = world.command(&op);
            let _ = world.run(&command);
        }
        let mut replica = Room::vacant(world.room.id.clone());
        for text in &world.updates {
            let update: Update = serde_json::from_str(text).unwrap();
            assert_eq!(update.base, replica.version);
            for change in &update.changes {
                replica.apply(change, update.at);
            }
        }
        assert_eq!(replica, world.room);
        let copy: Room = serde_json::from_str(&serde_json::to_string(&world.room).unwrap()).unwrap();
        assert_eq!(copy, world.room, "and so is one that was sent whole");
    }
}
