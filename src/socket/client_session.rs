use std::sync::Arc;

use tokio::{
    sync::oneshot,
    time::{Instant, sleep},
};

use super::{
    answer::Outcome, budget::Budget, features::Features, opening::Opening, pending::Pending, tokens::Held,
    upgrade::Gateway,
};
use crate::{
    account::Account,
    clock::Millis,
    hub::{HubError, Membership, Outbox},
    protocol::{ClientMessage, Close, Frame, Hello, Inbound, MemberMessage, Received, ServerFrame, decode, encode},
    room::{Action, Json, Refusal, Shown},
    telemetry::Subject,
};

/// The state of the client at the other end of a connection, and the handling of its frames.
#[derive(Debug)]
pub(super) struct ClientSession {
    pub(super) gateway: Arc<Gateway>,
    pub(super) outbox: Arc<Outbox>,
    pub(super) origin: Shown,
    /// The account of the client's address, if it is known.
    pub(super) account: Option<Arc<Account>>,
    /// The ids in the log lines of this connection.
    pub(super) subject: Arc<Subject>,
    /// The type of the current frame.
    pub(super) hearing: Received,
    pub(super) seat: Option<Membership>,
    /// Answered when the client has received its ROOM_STATE, and in it the resume token. Only if its seat depends on that.
    pub(super) received_state: Option<oneshot::Receiver<()>>,
    pub(super) features: Features,
    pub(super) budget: Budget,
    /// Since when a message is not whole, by the clock in seconds; 0 if there is none.
    stalls_since: u32,
    pub(super) complained: Millis,
    /// The waiting JOIN, on the heap because few clients have one.
    pub(super) pending: Option<Box<Pending>>,
    /// What is true of the client until its first JOIN or RESUME; on the heap because few sockets live without.
    pub(super) newcomer: Option<Box<Newcomer>>,
    /// The token that the client is held to; on the heap because there is none where nobody looks at tokens.
    pub(super) held: Option<Box<Held>>,
}

/// A client that has not sent a JOIN or RESUME yet.
#[derive(Debug)]
pub(super) struct Newcomer {
    /// Until when it has to.
    pub(super) joins_by: Option<Instant>,
    /// What it said as it opened its socket.
    pub(super) opening: Opening,
}

impl ClientSession {
    pub(super) fn new(
        gateway: Arc<Gateway>,
        outbox: Arc<Outbox>,
        (origin, account): (Shown, Option<Arc<Account>>),
        subject: Arc<Subject>,
        opening: Opening,
    ) -> Self {
        let timeout = gateway.join_timeout;
        let joins_by = (!timeout.is_zero()).then(|| Instant::now() + timeout);
        Self {
            gateway,
            outbox,
            origin,
            account,
            subject,
            hearing: Received::Invalid,
            seat: None,
            received_state: None,
            features: Features::default(),
            budget: Budget::default(),
            stalls_since: 0,
            complained: 0,
            pending: None,
            newcomer: Some(Box::new(Newcomer { joins_by, opening })),
            held: None,
        }
    }

    /// Notes whether a message is not whole. Returns whether that has lasted for longer than the interval of pings. The timer looks for other
    /// reasons, too, so it is not enough that it has looked twice.
    pub(super) fn stalls(&mut self, unfinished: bool) -> bool {
        if !unfinished {
            self.stalls_since = 0;
            return false;
        }
        let now = u32::try_from(self.gateway.clock.now() / 1_000 % u64::from(u32::MAX)).unwrap_or(0).max(1);
        if self.stalls_since == 0 {
            self.stalls_since = now;
        }
        u64::from(now.saturating_sub(self.stalls_since)) > self.gateway.ping_interval.as_secs()
    }

    pub(super) fn send(&self, frame: Frame) {
        self.outbox.push(frame);
    }

    /// Tells the client that BROADCASTs were left out because it reads too slowly.
    pub(super) fn left_out(&self, broadcasts: u64) {
        self.gateway.metrics.broadcasts_left_out.inc_by(broadcasts);
        if let Some(skipped) = self.gateway.refusals.pass(self.gateway.clock.now()) {
            tracing::info!(
                broadcasts,
                skipped,
                "a client reads more slowly than its room sends; it was told that it missed BROADCASTs"
            );
        }
        if let Some(seat) = &self.seat {
            self.gateway.hub.left_out(seat);
        }
    }

    /// The answer to PING, which precedes all waiting frames.
    pub(super) fn pong(&self, t0: Option<f64>, received: Millis) -> Frame {
        let now = self.gateway.clock.now();
        let (t1, t2) = (t0.map(|_| received), t0.map(|_| now));
        encode(&ServerFrame::Pong { timestamp: now, t0, t1, t2 })
    }

    /// Handles a frame that arrived at `received`, or at `came` by the monotonic clock. Returns the PONG for a PING.
    pub(super) async fn handle_text(&mut self, text: &str, received: Millis, came: Instant) -> Option<Frame> {
        let Inbound { id, kind, message } = match decode(text) {
            Ok(inbound) => inbound,
            Err(error) => {
                self.gateway.metrics.received.inc(Received::Invalid);
                self.malformed(&error);
                return None;
            }
        };
        self.hearing = kind.into();
        self.gateway.metrics.received.inc(self.hearing);
        tracing::trace!(r#type = kind.as_str(), bytes = text.len(), "frame");
        let id = id.as_ref();
        if let ClientMessage::Hello(_) = message {
            self.newcomer = None;
        }
        let outcome = match message {
            ClientMessage::Ping { t0 } => return Some(self.pong(t0, received)),
            ClientMessage::Hello(hello) => match self.charge(kind.extra_cost(), received) {
                Ok(()) => match hello {
                    Hello::Join(join) => self.join(join, id).await,
                    Hello::Resume(resume) => self.resume(resume, id).await,
                },
                Err(wait) => {
                    self.turn_away_hello(hello, id, wait, received);
                    Outcome::Refused
                }
            },
            ClientMessage::Member(message) => {
                if let MemberMessage::Act(Action::Leave) = message {
                    self.pending = None;
                }
                match self.seat.clone() {
                    Some(seat) => match self.charge_member(&seat, &message, text.len(), received) {
                        Ok(()) => self.act(&seat, message, id).await,
                        Err(wait) => {
                            self.limited(id, false, wait, received);
                            Outcome::Refused
                        }
                    },
                    None => self.refused(id, &Refusal::NotJoined.into()),
                }
            }
        };
        if outcome == Outcome::Granted && kind.is_relayed() {
            self.gateway.metrics.relay.observe(came.elapsed());
            self.charge_fan_out();
        }
        None
    }

    /// Runs a command of a member.
    async fn act(&mut self, seat: &Membership, message: MemberMessage, id: Option<&Json>) -> Outcome {
        let hub = Arc::clone(&self.gateway.hub);
        let leaves = matches!(message, MemberMessage::Act(Action::Leave));
        let done = match message {
            MemberMessage::Act(action) => {
                let action = self.features.generation.meant(action);
                let moderated = match &action {
                    Action::Kick { who, .. } => Some((who.clone(), "kicked a member")),
                    Action::Ban { who, .. } => Some((who.clone(), "banned a user")),
                    Action::Unban { who } => Some((who.clone(), "lifted a ban")),
                    _ => None,
                };
                let done = hub.act(seat, action).await;
                if let (Ok(_), Some((who, what))) = (&done, moderated) {
                    tracing::info!(to = %who, "{what}");
                }
                done
            }
            MemberMessage::SetPin { pin } => {
                let pin = pin.map(|pin| self.gateway.keys.pin(&seat.room.id, &pin).now);
                hub.act(seat, Action::SetPin { pin }).await
            }
            MemberMessage::RefreshToken { token } => match self.refresh(&token, &seat.room.id, &seat.user).await {
                Ok(None) => Ok(seat.version()),
                Ok(Some((grant, username))) => hub.act(seat, Action::Regrant { grant, username }).await,
                Err(why) => {
                    self.not_admitted(id, why);
                    return Outcome::Refused;
                }
            },
            MemberMessage::ListBans => hub.bans(seat).map(|frame| {
                self.send(frame);
                seat.version()
            }),
            MemberMessage::Position { position, playing } => {
                hub.report(seat, position, playing).await.map(|()| seat.version())
            }
            MemberMessage::RequestSync { respect_auto_play } => hub.sync(seat, respect_auto_play).map(|frame| {
                self.send(frame);
                seat.version()
            }),
            MemberMessage::Signal(signal) => hub.signal(seat, &signal).await.map(|()| seat.version()),
            MemberMessage::DirectMessage(message) => {
                hub.send_direct_message(seat, &message).await.map(|()| seat.version())
            }
            MemberMessage::Ignored => Ok(seat.version()),
        };
        let done = match done {
            // Its seat is gone: the answer to an earlier LEAVE was lost, or another socket has the seat.
            Err(HubError::Refused(Refusal::NotJoined)) if leaves => Ok(seat.version()),
            done => done,
        };
        let left = leaves && done.is_ok();
        let outcome = match done {
            Ok(version) => self.ack(id, version),
            // A frame to a peer that has just left is no mistake of the client: it gets an error only if it asked for an answer.
            Err(HubError::Refused(Refusal::NoSuchMember)) if id.is_none() && !self.features.ack() => Outcome::Refused,
            Err(error) => self.refused(id, &error),
        };
        if left {
            tracing::info!("left");
            self.seat = None;
            self.outbox.close(Close::Left);
        }
        outcome
    }

    /// Handles the end of the connection. The seats of clients that can resume are kept for a while, and during a drain all are, because all
    /// clients come back.
    pub(super) async fn depart(mut self) {
        let keep_seat = self.can_come_back();
        let Self { gateway, features, seat: Some(seat), .. } = self else { return };
        gateway.hub.detach(&seat);
        if keep_seat && features.resume() && gateway.admission.is_closed() {
            // Mostly the client has its seat on another node before it would be given up here. That is one change less in shared state, and
            // the room does not hear of it.
            sleep(gateway.handover).await;
        }
        // Ten thousand may depart at the same moment. All others would wait for the work of all of them.
        let _turn = gateway.departures.acquire().await;
        if let Err(error) = gateway.hub.disconnect(&seat, keep_seat).await {
            tracing::warn!(%error, "a departure could not be committed; the seat is given up when the lease or the window ends");
        }
    }

    /// Whether keeping the seat helps the client. A client that never got its token can neither resume nor join: a kept seat would lock it
    /// out.
    fn can_come_back(&mut self) -> bool {
        match &mut self.received_state {
            Some(received) => received.try_recv().is_ok(),
            None => self.features.resume() || self.gateway.admission.is_closed(),
        }
    }
}
