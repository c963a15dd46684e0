//! Locks, PINs, bans and kicks.

use tandem::{
    id::UserId,
    room::{Ban, Change, Command, Join, LeftReason, Refusal, Room},
};

use crate::world::{Act, Op, World, conn, digest, user};

fn join(world: &mut World, who: u8, origin: u8) -> Result<Vec<Change>, Refusal> {
    let op = Op::Join { user: who, socket: 1, origin, pin: None, resumable: true };
    world.run(&world.command(&op))
}

fn act(world: &mut World, who: u8, action: Act) -> Result<Vec<Change>, Refusal> {
    let command = world.command(&Op::Act { user: who, action });
    world.run(&command)
}

/// A host, a co-host and a guest, each from an address of its own.
fn three() -> World {
    let mut world = World::default();
    for who in 0..3 {
        join(&mut world, who, who).unwrap();
    }
    act(&mut world, 0, Act::Role(1, true)).unwrap();
    world
}

#[test]
fn a_locked_room_takes_nobody_new_and_its_own() {
    let mut world = three();
    assert_eq!(act(&mut world, 2, Act::Lock(true)), Err(Refusal::Forbidden), "a guest locks nothing");
    act(&mut world, 1, Act::Lock(true)).unwrap();
    assert!(act(&mut world, 0, Act::Lock(true)).unwrap().is_empty(), "it is locked already");
    assert_eq!(join(&mut world, 3, 3), Err(Refusal::RoomLocked));
    world.run(&world.command(&Op::Disconnect { user: 2, keep_seat: true })).unwrap();
    world.run(&world.command(&Op::Resume { user: 2, socket: 3, right: true })).unwrap();
    act(&mut world, 2, Act::Leave).unwrap();
    assert_eq!(join(&mut world, 2, 2), Err(Refusal::RoomLocked), "who left is new");
    act(&mut world, 0, Act::Lock(false)).unwrap();
    join(&mut world, 3, 3).unwrap();
}

#[test]
fn a_lock_keeps_neither_the_host_out_nor_an_empty_room_shut() {
    let mut world = three();
    act(&mut world, 0, Act::Lock(true)).unwrap();
    // A client of the first generation, whose seat is not kept.
    world.run(&world.command(&Op::Disconnect { user: 0, keep_seat: false })).unwrap();
    assert_eq!(join(&mut world, 0, 2), Err(Refusal::RoomLocked), "an impostor from elsewhere");
    join(&mut world, 0, 0).unwrap();
    assert_eq!(world.room.host, Some(user(0)));
    for who in 0..3 {
        act(&mut world, who, Act::Leave).unwrap();
    }
    join(&mut world, 3, 3).unwrap();
}

#[test]
fn only_the_host_sets_a_pin() {
    let mut world = three();
    assert_eq!(act(&mut world, 1, Act::SetPin(Some(5))), Err(Refusal::Forbidden), "not a co-host");
    act(&mut world, 0, Act::SetPin(Some(5))).unwrap();
    assert_eq!(join(&mut world, 3, 3), Err(Refusal::InvalidPin));
    act(&mut world, 0, Act::SetPin(None)).unwrap();
    join(&mut world, 3, 3).unwrap();
}

#[test]
fn a_ban_holds_for_the_id_and_the_address() {
    let mut world = three();
    for (by, who) in [(2, 1), (1, 0), (1, 1)] {
        assert_eq!(act(&mut world, by, Act::Ban(who)), Err(Refusal::Forbidden), "{by} bans {who}");
    }
    let banned = act(&mut world, 1, Act::Ban(2)).unwrap();
    let [Change::Banned { ban, .. }, Change::Left { reason: LeftReason::Removed { .. }, .. }] = &banned[..] else {
        panic!("{banned:?}")
    };
    assert_eq!(ban.origin, Some(digest(2)));
    assert_eq!(join(&mut world, 2, 4), Err(Refusal::Banned), "from elsewhere");
    assert_eq!(join(&mut world, 4, 2), Err(Refusal::Banned), "under another id");
    join(&mut world, 4, 4).unwrap();
    assert_eq!(act(&mut world, 4, Act::Unban(2)), Err(Refusal::Forbidden));
    act(&mut world, 0, Act::Unban(2)).unwrap();
    join(&mut world, 2, 2).unwrap();
    assert!(act(&mut world, 0, Act::Unban(2)).unwrap().is_empty(), "there is nothing to lift");
}

#[test]
fn an_address_of_other_members_is_not_banned() {
    let mut world = three();
    join(&mut world, 3, 2).unwrap();
    act(&mut world, 0, Act::Ban(2)).unwrap();
    assert_eq!(world.room.bans[&user(2)].origin, None);
    join(&mut world, 3, 2).unwrap();
    assert_eq!(join(&mut world, 2, 9), Err(Refusal::Banned));
}

#[test]
fn who_is_not_here_can_be_banned_too() {
    let mut world = three();
    act(&mut world, 0, Act::Kick(2)).unwrap();
    act(&mut world, 0, Act::Ban(2)).unwrap();
    assert_eq!(world.room.bans[&user(2)].origin, Some(digest(2)), "the address is known from the kick");
    assert_eq!(join(&mut world, 4, 2), Err(Refusal::Banned));
    act(&mut world, 0, Act::Ban(4)).unwrap();
    assert_eq!(world.room.bans[&user(4)].origin, None);
    assert!(act(&mut world, 0, Act::Ban(4)).unwrap().is_empty(), "once");
}

#[test]
fn a_room_has_a_thousand_bans_at_most_and_says_so() {
    let mut world = three();
    let ban = |number: usize| {
        let user = UserId::parse(&format!("pest_{number}")).unwrap();
        (user.clone(), Ban { user, username: None, origin: None, at: 1 })
    };
    world.room.bans = std::sync::Arc::new((0..Room::MAX_BANS).map(ban).collect());
    let refused = act(&mut world, 0, Act::Ban(2)).unwrap_err();
    assert_eq!(refused, Refusal::TooManyBans);
    assert_eq!(refused.to_string(), "the room has 1000 bans, which is the most: lift one first");
    assert!(world.room.members.contains_key(&user(2)));
}

#[test]
fn a_kick_leaves_the_owner_of_the_id_a_way_back() {
    let mut world = three();
    // An impostor has taken the id of user 2 from address 2.
    act(&mut world, 0, Act::Kick(2)).unwrap();
    assert_eq!(join(&mut world, 2, 2), Err(Refusal::Forbidden), "the impostor comes back at once");
    join(&mut world, 2, 7).unwrap();
    // They share an address: the host lets the id in again.
    act(&mut world, 0, Act::Kick(2)).unwrap();
    assert_eq!(join(&mut world, 2, 7), Err(Refusal::Forbidden));
    act(&mut world, 0, Act::Unban(2)).unwrap();
    join(&mut world, 2, 7).unwrap();
}

#[test]
fn many_kicks_do_not_lift_a_ban() {
    let mut world = three();
    world.policy.max_members = 500;
    act(&mut world, 0, Act::Ban(2)).unwrap();
    for who in 10..110 {
        join(&mut world, who, who).unwrap();
        act(&mut world, 0, Act::Kick(who)).unwrap();
    }
    assert_eq!(world.room.removed.len(), Room::MAX_REMOVED);
    assert_eq!(join(&mut world, 2, 2), Err(Refusal::Banned));
}

#[test]
fn a_banned_member_whose_node_was_cut_off_gets_no_seat_again() {
    let mut world = three();
    let member = world.room.members[&user(2)].clone();
    act(&mut world, 0, Act::Ban(2)).unwrap();
    assert!(world.run(&Command::Reattach(Box::new(member))).unwrap().is_empty());
    let resume = world.command(&Op::Resume { user: 2, socket: 5, right: true });
    assert_eq!(world.run(&resume), Err(Refusal::NotJoined));
    let Command::Join(join) = world.command(&Op::Join { user: 2, socket: 5, origin: 9, pin: None, resumable: true })
    else {
        panic!()
    };
    let shown = Join { proof: Some(digest(102).into()), conn: conn(2, 5), ..join };
    assert_eq!(world.run(&Command::Join(shown)), Err(Refusal::Banned), "nor with its token");
}
