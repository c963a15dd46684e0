//! What tokens grant, told as short stories.

use tandem::room::{Change, Command, Grant, GrantedRole, Join, Refusal, Resume, Right, Rights, Role, next_due};

use crate::world::{Act, Op, World, digest, user};

fn token(role: Option<GrantedRole>, rights: Rights) -> Grant {
    Grant { verified: true, role, rights, named: false, metadata: None }
}

fn all(role: GrantedRole) -> Grant {
    token(Some(role), Rights::ALL)
}

fn some(rights: &[Right]) -> Rights {
    rights.iter().copied().collect()
}

fn join(world: &mut World, who: u8, grant: Option<Grant>) -> Result<Vec<Change>, Refusal> {
    join_on(world, who, 1, grant)
}

fn join_on(world: &mut World, who: u8, socket: u8, grant: Option<Grant>) -> Result<Vec<Change>, Refusal> {
    let op = Op::Join { user: who, socket, origin: who, pin: None, resumable: true };
    let Command::Join(like) = world.command(&op) else { unreachable!() };
    world.run(&Command::Join(Join { grant: grant.map(Box::new), ..like }))
}

/// As `join_on`, without `resume`: a seat without a resume token.
fn join_plainly(world: &mut World, who: u8, socket: u8, grant: Option<Grant>) -> Result<Vec<Change>, Refusal> {
    let op = Op::Join { user: who, socket, origin: who, pin: None, resumable: false };
    let Command::Join(like) = world.command(&op) else { unreachable!() };
    world.run(&Command::Join(Join { grant: grant.map(Box::new), ..like }))
}

fn act(world: &mut World, who: u8, action: Act) -> Result<Vec<Change>, Refusal> {
    let command = world.command(&Op::Act { user: who, action });
    world.run(&command)
}

fn drop_socket(world: &mut World, who: u8, keep_seat: bool) {
    world.run(&world.command(&Op::Disconnect { user: who, keep_seat })).unwrap();
}

fn world() -> World {
    let mut world = World::default();
    world.policy.max_members = 20;
    world
}

#[test]
fn a_host_by_token_takes_the_lead_and_nobody_is_elected_beside_it() {
    let mut world = world();
    join(&mut world, 0, None).unwrap();
    join(&mut world, 1, None).unwrap();
    assert!(world.room.is_host(&user(0)));
    join(&mut world, 2, Some(all(GrantedRole::Host))).unwrap();
    assert!(world.room.is_host(&user(2)));
    // A second one leads, too, and does not push the first one out.
    join(&mut world, 3, Some(all(GrantedRole::Host))).unwrap();
    assert!(world.room.is_host(&user(2)) && world.room.leads(&user(3)) && !world.room.leads(&user(0)));
    act(&mut world, 2, Act::Leave).unwrap();
    assert!(world.room.is_host(&user(3)), "before those who were there longer");
    // While it is away, its role waits for it.
    drop_socket(&mut world, 3, true);
    world.now += world.policy.host_grace + 1;
    assert!(world.run(&Command::Tick).unwrap().is_empty() && world.room.is_host(&user(3)));
    world.now += world.policy.resume_window;
    while next_due(&world.room, &world.policy).is_some_and(|at| at <= world.now) {
        world.run(&Command::Tick).unwrap();
    }
    assert!(world.room.is_host(&user(0)), "it is gone, and the room elects again");
}

#[test]
fn whom_a_token_makes_a_member_never_leads() {
    let mut world = world();
    join(&mut world, 0, Some(all(GrantedRole::Member))).unwrap();
    assert_eq!(world.room.host, None);
    assert_eq!(next_due(&world.room, &world.policy), None, "there is nobody to elect");
    join(&mut world, 1, Some(all(GrantedRole::CoHost))).unwrap();
    assert_eq!((world.room.host.as_ref(), world.room.members[&user(1)].role), (None, Role::CoHost));
    join(&mut world, 2, None).unwrap();
    assert!(world.room.is_host(&user(2)), "the first who may be elected");
    assert_eq!(act(&mut world, 2, Act::Transfer(0)), Err(Refusal::Forbidden));
    assert_eq!(act(&mut world, 2, Act::Role(0, true)), Err(Refusal::Forbidden));
    act(&mut world, 2, Act::Role(1, false)).unwrap();
    act(&mut world, 2, Act::Role(1, true)).unwrap();
    act(&mut world, 2, Act::Leave).unwrap();
    assert_eq!(world.room.host, None, "nobody inherits");
}

#[test]
fn rights_limit_what_a_role_may_do() {
    let mut world = world();
    let rights = some(&[Right::Join, Right::Control]);
    join(&mut world, 0, Some(token(Some(GrantedRole::Host), rights))).unwrap();
    join(&mut world, 1, None).unwrap();
    act(&mut world, 0, Act::PlayPause(true, None)).unwrap();
    for action in [
        Act::Kick(1),
        Act::Ban(1),
        Act::Lock(true),
        Act::SetPin(Some(1)),
        Act::GuestControl(true),
        Act::Transfer(1),
        Act::Role(1, true),
        Act::Broadcast,
        Act::Unban(1),
    ] {
        assert_eq!(act(&mut world, 0, action.clone()), Err(Refusal::Forbidden), "{action:?}");
    }
    let rights = some(&[Right::Join, Right::Moderate, Right::Broadcast]);
    join(&mut world, 2, Some(token(Some(GrantedRole::CoHost), rights))).unwrap();
    act(&mut world, 2, Act::Broadcast).unwrap();
    act(&mut world, 2, Act::GuestControl(true)).unwrap();
    for action in [Act::PlayPause(true, None), Act::Seek(5, true), Act::Heartbeat(5, true), Act::Url(1)] {
        assert_eq!(act(&mut world, 2, action.clone()), Err(Refusal::Forbidden), "{action:?}");
    }
    act(&mut world, 2, Act::Kick(1)).unwrap();
}

#[test]
fn a_user_whom_a_token_names_has_the_seat_and_nobody_else() {
    let mut world = world();
    join(&mut world, 9, None).unwrap();
    // A guest claims to be user 0, with a resume token and all.
    join(&mut world, 0, None).unwrap();
    join_on(&mut world, 0, 3, Some(token(None, Rights::ALL))).unwrap();
    assert!(world.room.members[&user(0)].is_verified());
    let conn = world.room.members[&user(0)].conn;
    assert_eq!(join_on(&mut world, 0, 5, None), Err(Refusal::IdentityInUse));
    drop_socket(&mut world, 0, true);
    assert_eq!(join_on(&mut world, 0, 5, None), Err(Refusal::IdentityInUse), "also while the owner is away");
    // The resume token alone says that it is the same client, not that it may still come in.
    let Command::Resume(resume) = world.command(&Op::Resume { user: 0, socket: 7, right: true }) else {
        unreachable!()
    };
    assert_eq!(world.run(&Command::Resume(resume.clone())), Err(Refusal::Unauthorized));
    // The displaced connection of the guest cannot have the seat back.
    let guest = tandem::room::Member { grant: None, conn, ..world.room.members[&user(0)].clone() };
    assert!(world.run(&Command::Reattach(Box::new(guest))).unwrap().is_empty());
    let grant = Some(Box::new(token(None, some(&[Right::Join]))));
    world.run(&Command::Resume(Resume { grant, ..resume })).unwrap();
    assert!(!world.room.members[&user(0)].has(Right::Signal), "the new token counts");
}

#[test]
fn a_guest_takes_no_seat_that_a_token_names_by_its_address_or_its_socket() {
    let mut world = world();
    join(&mut world, 9, None).unwrap();
    // No resume token is asked for here, and the address is the same: between guests the newest socket would have the seat.
    join_plainly(&mut world, 1, 1, None).unwrap();
    join_plainly(&mut world, 1, 3, None).unwrap();
    for grant in [None, Some(Grant { verified: false, ..token(None, Rights::ALL) })] {
        join_plainly(&mut world, 0, 1, Some(token(None, Rights::ALL))).unwrap();
        let owner = world.room.members[&user(0)].clone();
        assert_eq!(join_plainly(&mut world, 0, 3, grant.clone()), Err(Refusal::IdentityInUse));
        assert_eq!(join_plainly(&mut world, 0, 2, grant), Err(Refusal::IdentityInUse), "nor on the owner's socket");
        assert_eq!(world.room.members[&user(0)], owner);
        act(&mut world, 0, Act::Leave).unwrap();
    }
    // Not with the resume token of the seat, either: it proves the client, and not that the application lets it in.
    join(&mut world, 0, Some(token(None, Rights::ALL))).unwrap();
    let Command::Join(like) = world.command(&Op::Join { user: 0, socket: 5, origin: 0, pin: None, resumable: true })
    else {
        unreachable!()
    };
    let shown = Join { proof: Some(digest(100).into()), ..like };
    assert_eq!(world.run(&Command::Join(shown.clone())), Err(Refusal::IdentityInUse));
    drop_socket(&mut world, 0, true);
    assert_eq!(world.run(&Command::Join(shown)), Err(Refusal::IdentityInUse));
}

#[test]
fn a_role_by_token_goes_before_one_that_the_room_gave() {
    let member = || Some(all(GrantedRole::Member));
    let role = |world: &World| world.room.members[&user(1)].role;
    let co_host = || {
        let mut world = world();
        join(&mut world, 0, Some(all(GrantedRole::Host))).unwrap();
        join(&mut world, 1, Some(token(None, Rights::ALL))).unwrap();
        act(&mut world, 0, Act::Role(1, true)).unwrap();
        assert!(role(&world) == Role::CoHost && world.room.moderates(&user(1)));
        world
    };
    let powerless = |mut world: World, how: &str| {
        assert_eq!(role(&world), Role::Member, "{how}");
        for action in [Act::Lock(true), Act::Seek(5, true), Act::Kick(0)] {
            assert_eq!(act(&mut world, 1, action.clone()), Err(Refusal::Forbidden), "{how}: {action:?}");
        }
    };

    let mut world = co_host();
    let (conn, grant) = (world.room.members[&user(1)].conn, Box::new(all(GrantedRole::Member)));
    let action = tandem::room::Action::Regrant { grant, username: None };
    let changes = world.run(&Command::Act { user: user(1), conn, action }).unwrap();
    assert!(
        changes.iter().any(|change| matches!(change, Change::RoleChanged { .. })),
        "the others are told: {changes:?}"
    );
    powerless(world, "a new token on the same socket");

    let mut world = co_host();
    join_on(&mut world, 1, 3, member()).unwrap();
    powerless(world, "a JOIN on another socket");

    let mut world = co_host();
    let Command::Resume(resume) = world.command(&Op::Resume { user: 1, socket: 3, right: true }) else {
        unreachable!()
    };
    drop_socket(&mut world, 1, true);
    world.run(&Command::Resume(Resume { grant: member().map(Box::new), ..resume })).unwrap();
    powerless(world, "a RESUME");
}

#[test]
fn a_token_says_more_than_a_pin_and_less_than_a_ban_or_a_lock() {
    let mut world = world();
    let op = Op::Join { user: 0, socket: 1, origin: 0, pin: Some(1), resumable: true };
    world.run(&world.command(&op)).unwrap();
    assert_eq!(join(&mut world, 1, None), Err(Refusal::InvalidPin));
    let guest = Grant { verified: false, ..token(None, Rights::ALL) };
    assert_eq!(join(&mut world, 1, Some(guest)), Err(Refusal::InvalidPin), "a guest has none");
    join(&mut world, 1, Some(token(None, Rights::ALL))).unwrap();
    act(&mut world, 0, Act::Ban(1)).unwrap();
    assert_eq!(join(&mut world, 1, Some(all(GrantedRole::Host))), Err(Refusal::Banned));
    act(&mut world, 0, Act::Lock(true)).unwrap();
    assert_eq!(join(&mut world, 2, Some(token(None, Rights::ALL))), Err(Refusal::RoomLocked));
    join(&mut world, 3, Some(all(GrantedRole::Host))).unwrap();
}

#[test]
fn a_new_token_may_grant_something_else() {
    let mut world = world();
    join(&mut world, 0, Some(all(GrantedRole::Host))).unwrap();
    join(&mut world, 1, None).unwrap();
    let refresh = |world: &mut World, grant: Grant, username: Option<&str>| {
        let action = tandem::room::Action::Regrant { grant: Box::new(grant), username: username.map(Box::from) };
        let conn = world.room.members[&user(0)].conn;
        world.run(&Command::Act { user: user(0), conn, action }).unwrap()
    };
    assert!(refresh(&mut world, token(Some(GrantedRole::Host), Rights::ALL), None).is_empty(), "it is the same");
    let named = Grant { named: true, ..token(Some(GrantedRole::CoHost), Rights::ALL) };
    refresh(&mut world, named, Some("Ana"));
    let member = &world.room.members[&user(0)];
    assert_eq!((member.role, member.username.as_deref()), (Role::CoHost, Some("Ana")));
    assert!(world.room.is_host(&user(1)), "it is host no more");
    assert_eq!(act(&mut world, 0, Act::Rename(1)), Err(Refusal::Forbidden), "the name is the token's");
    refresh(&mut world, all(GrantedRole::Host), None);
    assert!(world.room.is_host(&user(0)));
    assert!(world.updates.iter().any(|update| update.contains("Granted")));
}
