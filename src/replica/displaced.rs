//! Connections that have lost their seat to another connection of the same user.
//!
//! A client may hold two sockets for a while, and would fight itself if the older one was closed. So that one stays open and gets nothing. But
//! the newer connection may be dead already: a JOIN or RESUME that its client gave up is carried out late, on a node that stood still or had a
//! slow link. When that connection ends, the older one is asked for a sign of life, and gets the seat back.

use super::{
    effect::{Effect, Env},
    replica::{Out, Replica},
    session::Session,
    sync::Why,
};
use crate::{
    id::{ConnId, UserId},
    room::{Change, LeftReason, Member, Room},
};

/// The displaced connections of a room.
#[derive(Debug)]
pub(super) struct Displaced<H>(Vec<Connection<H>>);

#[derive(Debug)]
struct Connection<H> {
    user: UserId,
    session: Box<Session<H>>,
    /// The seat that it can have back.
    seat: Option<Box<Member>>,
    /// Whether it has shown that it lives since the seat became free.
    alive: bool,
}

impl<H> Replica<H> {
    /// Keeps a connection that has lost its seat.
    pub(super) fn displace(&mut self, user: &UserId, session: Option<Box<Session<H>>>) {
        let Some(mut session) = session else { return };
        session.reattach();
        // It begins anew with a ROOM_STATE: what was to be replayed would hold its frames back for ever.
        session.end_replay();
        self.take_displaced(user, |_| true);
        let displaced = Connection { user: user.clone(), session, seat: None, alive: false };
        self.displaced.get_or_insert_with(|| Box::new(Displaced(Vec::new()))).0.push(displaced);
    }

    fn displaced(&self) -> impl Iterator<Item = &Connection<H>> {
        self.displaced.iter().flat_map(|displaced| &displaced.0)
    }

    fn displaced_mut(&mut self) -> impl Iterator<Item = &mut Connection<H>> {
        self.displaced.iter_mut().flat_map(|displaced| &mut displaced.0)
    }

    /// Removes the displaced connection of a user, if it is one of these.
    pub(super) fn take_displaced(&mut self, user: &UserId, is: impl Fn(ConnId) -> bool) -> Option<Box<Session<H>>> {
        let list = &mut self.displaced.as_mut()?.0;
        let place = list.iter().position(|it| it.user == *user && is(it.session.conn))?;
        let Connection { session, .. } = list.swap_remove(place);
        if list.is_empty() {
            self.displaced = None;
        }
        Some(session)
    }

    /// The seat of a displaced connection becomes free with this change, or is gone for good.
    pub(super) fn release(&mut self, change: &Change, env: &Env<'_>, out: Out<'_, H>) {
        match change {
            _ if self.displaced.is_none() => {}
            Change::Away { user, .. }
            | Change::Left { user, reason: LeftReason::Disconnected | LeftReason::Expired, .. } => {
                if let Some(member) = self.room.members.get(user).cloned() {
                    self.offer(&member, env, out);
                }
            }
            Change::Left { user, .. } => drop(self.take_displaced(user, |_| true)),
            Change::Closed => self.displaced = None,
            _ => {}
        }
    }

    /// The same for the seats that have become free while updates were missed.
    pub(super) fn offer_free(&mut self, old: &Room, env: &Env<'_>, out: Out<'_, H>) {
        let free = |displaced: &Connection<H>| match self.room.members.get(&displaced.user) {
            Some(member) => (!member.present()).then_some(member),
            None => old.members.get(&displaced.user),
        };
        let free: Vec<Member> = self.displaced().filter_map(free).cloned().collect();
        for member in &free {
            self.offer(member, env, out);
        }
    }

    /// Asks the displaced connection of this member whether it lives, and offers it the seat.
    pub(super) fn offer(&mut self, member: &Member, env: &Env<'_>, out: Out<'_, H>) {
        let Some(displaced) = self.displaced_mut().find(|it| it.user == member.user) else { return };
        let conn = displaced.session.conn;
        displaced.seat = Some(Box::new(Member { conn, node: env.node.clone(), ..member.clone() }));
        displaced.alive = false;
        out(Effect::SeatFree { to: &displaced.session.handle, user: &displaced.user, conn });
    }

    /// A displaced connection has shown that it lives.
    pub fn reclaim(&mut self, user: &UserId, conn: ConnId, env: &Env<'_>) {
        let is_free = |it: &&mut Connection<H>| it.user == *user && it.session.conn == conn && it.seat.is_some();
        let Some(displaced) = self.displaced_mut().find(is_free) else { return };
        displaced.alive = true;
        self.mark(Why::WrongEviction, env.now);
    }

    /// The seat of a displaced connection that is to have it back.
    pub(super) fn reclaimed(&self) -> Option<&Member> {
        self.displaced().filter(|it| it.alive).find_map(|it| it.seat.as_deref())
    }

    /// The seat is taken again.
    pub(super) fn withdraw(&mut self, user: &UserId) {
        for displaced in self.displaced_mut().filter(|it| it.user == *user) {
            (displaced.seat, displaced.alive) = (None, false);
        }
    }
}
