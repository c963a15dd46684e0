//! What an invitation does in its room, told as short stories.

use tandem::room::{Change, Command, Grant, GrantedRole, Join, Refusal, Right, Rights, Role};

use crate::world::{Act, Op, World, user};

/// What comes with an invitation.
fn grant(role: Option<GrantedRole>, rights: Rights) -> Grant {
    Grant { verified: false, role, rights, named: false, metadata: None }
}

fn join(
    world: &mut World,
    who: u8,
    socket: u8,
    invited: Option<Grant>,
    pin: Option<u8>,
) -> Result<Vec<Change>, Refusal> {
    let op = Op::Join { user: who, socket, origin: who, pin, resumable: true };
    let Command::Join(like) = world.command(&op) else { unreachable!() };
    world.run(&Command::Join(Join { invited: invited.is_some(), grant: invited.map(Box::new), ..like }))
}

fn act(world: &mut World, who: u8, action: Act) -> Result<Vec<Change>, Refusal> {
    let command = world.command(&Op::Act { user: who, action });
    world.run(&command)
}

/// A room with a PIN.
fn world() -> World {
    let mut world = World::default();
    join(&mut world, 0, 1, None, Some(1)).unwrap();
    world
}

#[test]
fn it_takes_the_place_of_the_pin_and_of_nothing_else() {
    let mut world = world();
    assert_eq!(join(&mut world, 1, 1, None, None), Err(Refusal::InvalidPin));
    let plain = || Some(grant(None, Rights::ALL));
    join(&mut world, 1, 1, plain(), None).unwrap();
    act(&mut world, 0, Act::Ban(1)).unwrap();
    assert_eq!(join(&mut world, 1, 1, plain(), None), Err(Refusal::Banned));
    act(&mut world, 0, Act::Lock(true)).unwrap();
    assert_eq!(join(&mut world, 2, 1, plain(), None), Err(Refusal::RoomLocked));
    act(&mut world, 0, Act::Lock(false)).unwrap();
    for who in 2..5 {
        join(&mut world, who, 1, plain(), None).unwrap();
    }
    assert_eq!(join(&mut world, 5, 1, plain(), None), Err(Refusal::RoomFull));
    // A seat that can be resumed is for its token alone.
    assert_eq!(join(&mut world, 3, 3, plain(), None), Err(Refusal::IdentityInUse));
}

#[test]
fn what_came_with_it_stays_with_the_seat() {
    let mut world = world();
    let limited = [Right::Join, Right::Control].into_iter().collect();
    join(&mut world, 1, 1, Some(grant(Some(GrantedRole::CoHost), limited)), None).unwrap();
    let holds = |world: &World| {
        let member = &world.room.members[&user(1)];
        assert_eq!((member.role, member.has(Right::Control), member.has(Right::Signal)), (Role::CoHost, true, false));
    };
    holds(&world);
    world.run(&world.command(&Op::Disconnect { user: 1, keep_seat: true })).unwrap();
    world.run(&world.command(&Op::Resume { user: 1, socket: 3, right: true })).unwrap();
    holds(&world);
    // A JOIN on the same socket shows no invitation again.
    join(&mut world, 1, 2, None, None).unwrap();
    holds(&world);
    assert_eq!(act(&mut world, 1, Act::Broadcast), Err(Refusal::Forbidden));
    // Another invitation counts.
    join(&mut world, 1, 2, Some(grant(Some(GrantedRole::Member), Rights::ALL)), None).unwrap();
    let member = &world.room.members[&user(1)];
    assert_eq!((member.role, member.has(Right::Signal)), (Role::Member, true));
}

#[test]
fn it_may_make_a_host() {
    let mut world = world();
    join(&mut world, 1, 1, Some(grant(Some(GrantedRole::Host), Rights::ALL)), None).unwrap();
    assert!(world.room.is_host(&user(1)) && !world.room.members[&user(1)].is_verified());
}
