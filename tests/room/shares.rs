//! Seats of one origin, while a room is more than half full.

use tandem::{
    id::{ConnId, UserId},
    room::{Change, Command, Join, Refusal},
};
use uuid::Uuid;

use crate::world::{Op, World};

const SEATS: usize = 200;

/// A user comes in, and its socket is lost at once. The seat is kept.
fn touch(world: &mut World, who: u32, origin: u8, shares: bool) -> Result<Vec<Change>, Refusal> {
    let user = UserId::parse(&format!("u{who}")).unwrap();
    let conn = ConnId(Uuid::from_u128(who.into()));
    let Command::Join(like) = world.command(&Op::Join { user: 0, socket: 1, origin, pin: None, resumable: true })
    else {
        unreachable!()
    };
    world.run(&Command::Join(Join { user: user.clone(), conn, shares, ..like }))?;
    world.run(&Command::Disconnect { user, conn, keep_seat: true })
}

fn granted(world: &mut World, who: std::ops::Range<u32>, origin: u8, shares: bool) -> usize {
    who.filter(|who| touch(world, *who, origin, shares).is_ok()).count()
}

#[test]
fn one_origin_cannot_fill_a_room_with_seats_that_are_kept() {
    let mut world = World::default();
    world.policy.max_members = SEATS;
    assert_eq!(granted(&mut world, 0..300, 1, true), SEATS / 2, "half of it");
    assert_eq!(touch(&mut world, 300, 1, true).unwrap_err(), Refusal::RoomFull);
    let second = granted(&mut world, 400..600, 2, true);
    assert!((50..=100).contains(&second), "{second}");
    let others = (600..610).filter(|who| touch(&mut world, *who, u8::try_from(*who - 590).unwrap(), true).is_ok());
    assert!(others.count() == 10 || second == 100, "others come in");
}

#[test]
fn an_address_that_is_known_to_be_of_many_may_fill_a_room() {
    let mut world = World::default();
    world.policy.max_members = SEATS;
    assert_eq!(granted(&mut world, 0..300, 1, false), SEATS);
}

#[test]
fn a_small_room_is_not_divided() {
    let mut world = World::default();
    world.policy.max_members = 30;
    assert_eq!(granted(&mut world, 0..100, 1, true), 30);
}
