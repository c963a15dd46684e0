//! Single rules, told as short stories.

use tandem::{
    id::{ConnId, NodeId},
    room::{Action, Asked, Change, Command, Join, LeftReason, Member, Refusal, Resume, Role, UrlTime},
};

use crate::world::{Act, Op, World, conn, digest, user};

fn join(world: &mut World, who: u8) -> Result<Vec<Change>, Refusal> {
    join_as(world, who, who, None)
}

fn join_as(world: &mut World, who: u8, origin: u8, pin: Option<u8>) -> Result<Vec<Change>, Refusal> {
    let command = world.command(&Op::Join { user: who, socket: 1, origin, pin, resumable: false });
    world.run(&command)
}

fn act(world: &mut World, who: u8, action: Act) -> Result<Vec<Change>, Refusal> {
    let command = world.command(&Op::Act { user: who, action });
    world.run(&command)
}

fn drop_socket(world: &mut World, who: u8, keep_seat: bool) -> Vec<Change> {
    let command = world.command(&Op::Disconnect { user: who, keep_seat });
    world.run(&command).unwrap()
}

fn tick(world: &mut World) -> Vec<Change> {
    world.run(&Command::Tick).unwrap()
}

fn host(world: &World) -> Option<&str> {
    world.room.host.as_ref().map(tandem::id::UserId::as_str)
}

#[test]
fn a_host_that_drops_gets_its_role_back_from_where_it_was() {
    let mut world = World::default();
    for who in 0..3 {
        join(&mut world, who).unwrap();
    }
    drop_socket(&mut world, 0, false);
    assert_eq!(host(&world), None);
    assert_eq!(world.room.shown_host(), Some(&user(0)), "newcomers are still told of it");
    world.now += 14_999;
    assert!(tick(&mut world).is_empty());
    join_as(&mut world, 0, 2, None).unwrap();
    assert_eq!(host(&world), None, "an impostor from elsewhere gets nothing");
    drop_socket(&mut world, 0, false);
    join(&mut world, 0).unwrap();
    assert_eq!(host(&world), Some("user_0"));
}

#[test]
fn after_its_grace_the_longest_present_is_host() {
    let mut world = World::default();
    for who in 0..3 {
        join(&mut world, who).unwrap();
    }
    drop_socket(&mut world, 1, true);
    drop_socket(&mut world, 0, false);
    world.now += 15_000;
    assert_eq!(tick(&mut world), [Change::HostChanged { host: user(2) }], "one that is away is passed over");
    world.now += 15_000;
    assert!(
        matches!(&tick(&mut world)[..], [Change::Left { user: gone, reason: LeftReason::Expired, .. }] if *gone == user(1))
    );
}

#[test]
fn leaving_hands_the_role_on_at_once() {
    let mut world = World::default();
    join(&mut world, 0).unwrap();
    join(&mut world, 1).unwrap();
    act(&mut world, 0, Act::Leave).unwrap();
    assert_eq!(host(&world), Some("user_1"));
}

#[test]
fn an_empty_room_waits_and_then_goes() {
    let mut world = World::default();
    join_as(&mut world, 0, 0, Some(1)).unwrap();
    act(&mut world, 0, Act::Url(0)).unwrap();
    drop_socket(&mut world, 0, false);
    world.now += 179_999;
    assert!(tick(&mut world).is_empty());
    assert_eq!(join_as(&mut world, 1, 1, None), Err(Refusal::InvalidPin), "the PIN is kept");
    join_as(&mut world, 1, 1, Some(1)).unwrap();
    assert_eq!(host(&world), Some("user_1"), "long after the grace the first to come is host");
    assert_eq!(world.room.url.as_deref(), Some("https://x.org/0"));
    act(&mut world, 1, Act::Leave).unwrap();
    world.now += 180_000;
    assert_eq!(tick(&mut world), [Change::Closed]);
    join(&mut world, 2).unwrap();
    assert_eq!(world.room.pin, None, "a new room has no old PIN");
}

#[test]
fn a_second_socket_takes_over_and_the_late_close_of_the_first_changes_nothing() {
    let mut world = World::default();
    join(&mut world, 0).unwrap();
    let again = |socket, origin| Op::Join { user: 0, socket, origin, pin: None, resumable: false };
    let stranger = world.command(&again(3, 2));
    assert_eq!(world.run(&stranger), Err(Refusal::SeatHeld));
    let own = world.command(&again(3, 0));
    assert!(matches!(&world.run(&own).unwrap()[..], [Change::Rejoined { .. }]));
    let late = Command::Disconnect { user: user(0), conn: conn(0, 1), keep_seat: false };
    assert!(world.run(&late).unwrap().is_empty());
    let stale = Command::Act { user: user(0), conn: conn(0, 1), action: Action::Leave };
    assert_eq!(world.run(&stale), Err(Refusal::NotJoined));
}

/// Who may take the seat of user 0, which has PIN 1, socket 1, address 0, and perhaps token 7.
#[test]
fn a_seat_passes_to_its_token_or_its_address_or_from_a_dead_socket() {
    let silent = |socket| Some(Asked { conn: conn(0, socket), answers: false });
    let alive = Some(Asked { conn: conn(0, 1), answers: true });
    let (right, wrong) = (Some(digest(7)), Some(digest(8)));
    let taken = Ok(());
    let (in_use, held) = (Err(Refusal::IdentityInUse), Err(Refusal::SeatHeld));
    for (token, away, socket, origin, pin, proof, asked, expected) in [
        // A seat that has a token is for whoever shows it, from any address, whether the member is present or away.
        (true, false, 2, 0, 1, None, None, in_use),
        (true, false, 2, 0, 1, wrong, None, in_use),
        (true, false, 2, 0, 1, None, silent(1), in_use),
        (true, false, 2, 5, 1, None, silent(1), in_use),
        (true, true, 2, 0, 1, None, None, in_use),
        (true, true, 2, 5, 1, wrong, None, in_use),
        (true, false, 2, 0, 9, None, None, in_use),
        (true, false, 2, 5, 9, right, None, taken),
        (true, true, 2, 5, 9, right, None, taken),
        (true, false, 1, 5, 9, None, None, taken),
        // A seat without a token is for the same address, with the PIN.
        (false, false, 2, 0, 1, None, None, taken),
        (false, false, 2, 0, 9, None, None, Err(Refusal::InvalidPin)),
        (false, false, 1, 5, 9, None, None, taken),
        // Another address needs the PIN, and gets the seat only if its socket does not answer.
        (false, false, 2, 5, 1, None, None, held),
        (false, false, 2, 5, 1, wrong, None, held),
        (false, false, 2, 5, 9, None, None, Err(Refusal::InvalidPin)),
        (false, false, 2, 5, 9, None, silent(1), Err(Refusal::InvalidPin)),
        (false, false, 2, 5, 1, None, alive, in_use),
        (false, false, 2, 5, 1, None, silent(1), taken),
        // Another socket was asked.
        (false, false, 2, 5, 1, None, silent(3), held),
        // The seat is kept during a drain, and there is no socket to ask.
        (false, true, 2, 5, 1, None, None, taken),
        (false, true, 2, 5, 9, None, None, Err(Refusal::InvalidPin)),
    ] {
        let mut world = World::default();
        let first = Join {
            user: user(0),
            conn: conn(0, 1),
            node: tandem::id::NodeId::parse("n").unwrap(),
            origin: digest(0).into(),
            username: None,
            pin: Some(digest(1).into()),
            proof: None,
            token: token.then(|| digest(7)),
            asked: None,
            again: false,
            grant: None,
            invited: false,
            shares: true,
        };
        world.run(&Command::Join(first.clone())).unwrap();
        if away {
            let gone = Command::Disconnect { user: user(0), conn: conn(0, 1), keep_seat: true };
            world.run(&gone).unwrap();
        }
        let join = Join {
            conn: conn(0, socket),
            origin: digest(origin).into(),
            pin: Some(digest(pin).into()),
            proof: proof.map(Into::into),
            token: None,
            asked,
            ..first
        };
        let done = world.run(&Command::Join(join)).map(|_| ());
        assert_eq!(done, expected, "{token} {away} {socket} {origin} {pin} {proof:?} {asked:?}");
        let holder = if expected.is_ok() { conn(0, socket) } else { conn(0, 1) };
        assert_eq!(world.room.members[&user(0)].conn, holder);
        assert_eq!(host(&world), Some("user_0"));
    }
}

#[test]
fn a_join_on_the_same_socket_needs_no_pin_and_keeps_the_name() {
    let mut world = World::default();
    let first = Join {
        user: user(0),
        conn: conn(0, 1),
        node: tandem::id::NodeId::parse("n").unwrap(),
        origin: digest(0).into(),
        username: Some("Ana".into()),
        pin: Some(digest(1).into()),
        proof: None,
        token: None,
        asked: None,
        again: false,
        grant: None,
        invited: false,
        shares: true,
    };
    world.run(&Command::Join(first.clone())).unwrap();
    for origin in 0..8 {
        world.run(&crate::world::missed_pin(origin)).unwrap();
    }
    let stranger = Join { user: user(1), conn: conn(1, 1), origin: digest(20).into(), ..first.clone() };
    let refused = world.run(&Command::Join(stranger.clone())).unwrap_err();
    let Refusal::PinLocked { retry_after } = refused else { panic!("the right PIN waits, too: {refused}") };
    // Members need not wait.
    let again = Join { username: None, pin: None, ..first };
    world.run(&Command::Join(again)).unwrap();
    assert_eq!(world.room.members[&user(0)].username.as_deref(), Some("Ana"));
    assert_eq!(world.room.members.len(), 1);
    world.now += retry_after;
    world.run(&Command::Join(stranger)).unwrap();
}

fn watched(members: u8) -> World {
    let mut world = World::default();
    for who in 0..members {
        join(&mut world, who).unwrap();
        act(&mut world, who, Act::Watching(true)).unwrap();
    }
    world
}

#[test]
fn the_gate_counts_all_watchers_but_the_one_who_sought() {
    let mut world = watched(4);
    act(&mut world, 3, Act::Watching(false)).unwrap();
    act(&mut world, 0, Act::Seek(300, true)).unwrap();
    assert_eq!(world.room.gate.as_ref().unwrap().waiting, [user(1), user(2)]);
    assert!(act(&mut world, 0, Act::Ready { right: true }).unwrap().is_empty());
    assert!(act(&mut world, 1, Act::Ready { right: false }).unwrap().is_empty(), "another seek's READY");
    assert_eq!(act(&mut world, 1, Act::Ready { right: true }).unwrap().len(), 1);
    assert!(act(&mut world, 1, Act::Ready { right: true }).unwrap().is_empty(), "counted once");
    let opened = act(&mut world, 2, Act::Ready { right: true }).unwrap();
    assert!(matches!(opened[..], [Change::Ready { .. }, Change::Released { .. }]));
}

#[test]
fn a_gate_opens_by_itself_or_when_the_slow_one_goes_and_never_after_a_pause() {
    let mut world = watched(2);
    act(&mut world, 0, Act::Seek(300, true)).unwrap();
    world.now += 6_999;
    assert!(tick(&mut world).is_empty());
    world.now += 1;
    assert!(matches!(tick(&mut world)[..], [Change::Released { .. }]));
    assert!((world.room.timeline.position_at(world.now) - 307.0).abs() < 1e-9, "the film ran on from the seek");

    act(&mut world, 0, Act::Seek(300, true)).unwrap();
    drop_socket(&mut world, 1, false);
    assert!(matches!(tick(&mut world)[..], [Change::Released { .. }]));

    let mut world = watched(2);
    act(&mut world, 0, Act::Seek(300, true)).unwrap();
    act(&mut world, 0, Act::PlayPause(false, Some(300))).unwrap();
    world.now += 60_000;
    assert!(tick(&mut world).is_empty());
    assert!(!world.room.timeline.playing);
}

#[test]
fn a_seek_of_a_guest_is_not_undone_by_what_the_host_said_before_it_heard() {
    let mut world = watched(2);
    act(&mut world, 0, Act::GuestControl(true)).unwrap();
    act(&mut world, 0, Act::PlayPause(true, Some(10))).unwrap();
    world.now += 100;
    act(&mut world, 1, Act::Seek(500, false)).unwrap();
    world.now += 50;
    assert!(act(&mut world, 0, Act::Report(10, true)).unwrap().is_empty());
    assert!(act(&mut world, 0, Act::Heartbeat(10, true)).unwrap().is_empty());
    world.now += 2_000;
    assert_eq!(act(&mut world, 0, Act::Report(500, true)).unwrap().len(), 1, "later it is believed again");
}

#[test]
fn rights_end_where_they_end() {
    let mut world = World::default();
    for who in 0..3 {
        join(&mut world, who).unwrap();
    }
    assert_eq!(act(&mut world, 1, Act::Seek(1, true)), Err(Refusal::Forbidden));
    assert_eq!(act(&mut world, 1, Act::Heartbeat(1, true)), Err(Refusal::Forbidden));
    assert_eq!(act(&mut world, 1, Act::Kick(2)), Err(Refusal::Forbidden));
    act(&mut world, 0, Act::Role(1, true)).unwrap();
    assert_eq!(world.room.members[&user(1)].role, Role::CoHost);
    act(&mut world, 1, Act::Seek(1, true)).unwrap();
    assert_eq!(act(&mut world, 1, Act::Kick(0)), Err(Refusal::Forbidden), "a co-host does not kick the host");
    assert_eq!(act(&mut world, 1, Act::Transfer(1)), Err(Refusal::Forbidden));
    act(&mut world, 1, Act::Kick(2)).unwrap();
    assert_eq!(join(&mut world, 2), Err(Refusal::Forbidden));
    assert_eq!(act(&mut world, 0, Act::Transfer(4)), Err(Refusal::NoSuchMember));
    act(&mut world, 0, Act::Transfer(1)).unwrap();
    assert_eq!(host(&world), Some("user_1"));
    assert_eq!(act(&mut world, 0, Act::Seek(1, true)), Err(Refusal::Forbidden), "the old host is a guest now");
    world.policy.enforce_control = false;
    act(&mut world, 0, Act::Seek(1, true)).unwrap();
}

#[test]
fn a_full_room_takes_nobody_but_its_own() {
    let mut world = World::default();
    for who in 0..4 {
        join(&mut world, who).unwrap();
    }
    assert_eq!(join(&mut world, 4), Err(Refusal::RoomFull));
    assert!(join(&mut world, 3).is_ok());
}

#[test]
fn a_dead_node_takes_its_sockets_with_it_and_nobody_else() {
    let mut world = World::default();
    // Even sockets are on one node, odd ones on the other.
    for (who, socket, resumable) in [(0, 2, true), (1, 3, true), (2, 4, false)] {
        world.run(&world.command(&Op::Join { user: who, socket, origin: who, pin: None, resumable })).unwrap();
    }
    let changes = world.run(&world.command(&Op::Reap { node: 0 })).unwrap();
    assert!(matches!(&changes[0], Change::Away { user: away, .. } if *away == user(0)), "it can resume");
    assert!(matches!(&changes[1], Change::Left { user: left, .. } if *left == user(2)), "it cannot");
    assert_eq!(changes.len(), 2);
    assert!(world.run(&world.command(&Op::Reap { node: 0 })).unwrap().is_empty(), "once");
    assert!(world.room.members[&user(1)].present());
    world.now += world.policy.host_grace;
    world.run(&Command::Tick).unwrap();
    assert_eq!(world.room.host, Some(user(1)), "the host's role does not stay with a ghost");
}

#[test]
fn who_was_taken_for_gone_takes_its_seat_again() {
    let mut world = World::default();
    for (who, socket) in [(0, 2), (1, 3)] {
        let resumable = who == 0;
        world.run(&world.command(&Op::Join { user: who, socket, origin: who, pin: None, resumable })).unwrap();
    }
    let (host, guest) = (world.room.members[&user(0)].clone(), world.room.members[&user(1)].clone());
    world.run(&world.command(&Op::Reap { node: 0 })).unwrap();
    world.run(&world.command(&Op::Reap { node: 1 })).unwrap();
    assert_eq!(world.room.members.len(), 1);
    let back = world.run(&Command::Reattach(Box::new(host.clone()))).unwrap();
    assert!(matches!(&back[..], [Change::Back { was_away: true, .. }]));
    let joined = world.run(&Command::Reattach(Box::new(guest.clone()))).unwrap();
    assert!(matches!(&joined[..], [Change::Joined { host: false, .. }]));
    assert_eq!(world.room.host, Some(user(0)));
    assert!(world.run(&Command::Reattach(Box::new(guest.clone()))).unwrap().is_empty(), "once");
    let elsewhere = ConnId(uuid::Uuid::from_u128(7));
    assert!(
        world.run(&Command::Reattach(Box::new(Member { conn: elsewhere, ..guest }))).unwrap().is_empty(),
        "not over another socket"
    );
    let kick = Action::Kick { who: user(1), note: None };
    world.run(&Command::Act { user: user(0), conn: host.conn, action: kick }).unwrap();
    let kicked = world.seated.iter().find(|member| member.user == user(1)).unwrap().clone();
    assert!(world.run(&Command::Reattach(Box::new(kicked))).unwrap().is_empty(), "nor once it was thrown out");
}

#[test]
fn a_host_that_comes_back_is_crowned_before_all() {
    let crown = |changes: &[Change]| changes.contains(&Change::HostChanged { host: user(0) });
    // A client of the first generation gives up its seat.
    let mut world = World::default();
    assert!(!crown(&join(&mut world, 0).unwrap()), "a founder has nobody to tell");
    join(&mut world, 1).unwrap();
    drop_socket(&mut world, 0, false);
    assert!(crown(&join(&mut world, 0).unwrap()));
    assert!(!crown(&join(&mut world, 0).unwrap()), "a page that loads on a living socket loses no crown");
    // The seat was kept, but the client sends a JOIN.
    drop_socket(&mut world, 0, true);
    assert!(crown(&join(&mut world, 0).unwrap()));
    assert!(!crown(&join(&mut world, 1).unwrap()), "a guest wears none");
    // The node of the client was declared dead.
    let seat = world.room.members[&user(0)].clone();
    drop_socket(&mut world, 0, false);
    assert!(crown(&world.run(&Command::Reattach(Box::new(seat))).unwrap()));
    // This is too late: another member is host.
    drop_socket(&mut world, 0, false);
    world.now += world.policy.host_grace;
    tick(&mut world);
    assert!(!crown(&join(&mut world, 0).unwrap()));
}

fn change_url(world: &mut World, who: u8, url: &str) -> Vec<Change> {
    let conn = world.room.members[&user(who)].conn;
    let action = Action::ChangeUrl { url: url.into(), time: Some(UrlTime::Unsaid(5_000.0)) };
    world.run(&Command::Act { user: user(who), conn, action }).unwrap()
}

#[test]
fn only_the_host_may_say_again_the_url_that_is_on() {
    let mut world = watched(3);
    act(&mut world, 0, Act::Role(2, true)).unwrap();
    act(&mut world, 0, Act::GuestControl(true)).unwrap();
    change_url(&mut world, 0, "https://x.org/watch/1?trackId=7");
    act(&mut world, 0, Act::PlayPause(true, Some(5))).unwrap();
    act(&mut world, 0, Act::Seek(5, true)).unwrap();
    for who in [1, 2] {
        for same in ["https://x.org/watch/1?trackId=7", "https://X.org/watch/1", "https://x.org:443/watch/1/?trackId=8"]
        {
            assert!(change_url(&mut world, who, same).is_empty(), "{who} {same}");
        }
    }
    assert!(world.room.timeline.playing && world.room.gate.is_some(), "the film goes on, and the gate waits");
    assert_eq!(change_url(&mut world, 0, "https://x.org/watch/1").len(), 1, "a host that reloads is followed");
    assert!(world.room.timeline.playing, "and does not stop the film");
    assert_eq!(change_url(&mut world, 1, "https://x.org/watch/2").len(), 1, "another film is another matter");
    assert!(!world.room.timeline.playing);
    world.policy.enforce_control = false;
    act(&mut world, 0, Act::GuestControl(false)).unwrap();
    assert!(change_url(&mut world, 1, "https://x.org/watch/2").is_empty());
}

/// A room whose one member, user 0, has token 100, and how its tokens are shown.
struct Tokens(World);

impl Tokens {
    fn new() -> Self {
        let mut world = World::default();
        world.run(&world.command(&Op::Join { user: 0, socket: 1, origin: 0, pin: None, resumable: true })).unwrap();
        Self(world)
    }

    /// Shows a token on a socket, by RESUME and by JOIN in turn, and gets another one.
    fn show(&mut self, socket: u8, proof: u8, token: u8) -> Result<(), Refusal> {
        let (user, conn, node) = (user(0), conn(0, socket), NodeId::parse("n").unwrap());
        let (origin, proof, token) = (digest(0).into(), digest(proof).into(), digest(token));
        let command = if socket.is_multiple_of(2) {
            Command::Resume(Resume { user, conn, node, origin, proof, token, grant: None })
        } else {
            let (proof, token) = (Some(proof), Some(token));
            Command::Join(Join {
                user,
                conn,
                node,
                origin,
                username: None,
                pin: None,
                proof,
                token,
                asked: None,
                again: false,
                grant: None,
                invited: false,
                shares: true,
            })
        };
        let shown = self.0.run(&command).map(|_| ());
        shown.map_err(|why| if why == Refusal::IdentityInUse { Refusal::Unauthorized } else { why })
    }

    fn drop_socket(&mut self) {
        let conn = self.0.room.members[&user(0)].conn;
        self.0.run(&Command::Disconnect { user: user(0), conn, keep_seat: true }).unwrap();
    }
}

const REFUSED: Result<(), Refusal> = Err(Refusal::Unauthorized);

/// A client that is not answered in time resumes on another socket, while its frames on the first may still be under way.
#[test]
fn the_token_of_either_socket_is_good_when_an_old_one_was_shown_twice() {
    for kept in [21, 22] {
        let mut tokens = Tokens::new();
        tokens.show(2, 100, 21).unwrap();
        tokens.show(3, 100, 22).unwrap();
        tokens.show(4, kept, 23).unwrap();
        tokens.show(5, 23, 24).unwrap();
        assert_eq!(tokens.show(6, 22, 25), REFUSED, "the newest was shown");
    }
}

#[test]
fn a_token_is_good_once_and_once_more_for_an_answer_that_was_lost() {
    let mut tokens = Tokens::new();
    tokens.show(2, 100, 21).unwrap();
    tokens.show(3, 100, 22).unwrap();
    for socket in 4..24 {
        assert_eq!(tokens.show(socket, 100, 90), REFUSED, "on socket {socket}");
    }
    // What was issued for it stays good, and wears out in the same way.
    tokens.show(30, 21, 23).unwrap();
    assert_eq!(tokens.show(31, 22, 90), REFUSED, "its client has the other one");
    tokens.show(31, 21, 24).unwrap();
    assert_eq!(tokens.show(32, 21, 90), REFUSED);
    tokens.show(33, 24, 25).unwrap();
    for old in [100, 21, 22, 23] {
        assert_eq!(tokens.show(34, old, 90), REFUSED, "token {old}");
    }
}

#[test]
fn the_token_before_is_good_only_while_the_answer_may_be_lost() {
    // The socket that got the answer answers pings.
    let mut tokens = Tokens::new();
    tokens.show(2, 100, 21).unwrap();
    tokens.0.now += 121_000;
    assert_eq!(tokens.show(4, 100, 90), REFUSED);
    // It may also have ended in time, and its client come later.
    for (lived, good) in [(119_000, Ok(())), (121_000, REFUSED)] {
        let mut tokens = Tokens::new();
        tokens.show(2, 100, 21).unwrap();
        tokens.0.now += lived;
        tokens.drop_socket();
        tokens.0.now += 10_000;
        assert_eq!(tokens.show(4, 100, 22), good, "after {lived} ms");
        tokens.show(6, 21, 23).unwrap();
    }
}

/// Nobody knows whether the first decision was committed.
#[test]
fn a_resume_that_is_decided_again_wears_nothing_out() {
    let mut tokens = Tokens::new();
    tokens.show(2, 100, 21).unwrap();
    tokens.show(2, 100, 22).unwrap();
    tokens.show(4, 100, 23).unwrap();
    assert_eq!(tokens.show(6, 100, 90), REFUSED);
    tokens.show(8, 22, 24).unwrap();
}
