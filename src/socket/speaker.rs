use std::sync::Arc;

use tokio::{sync::oneshot, time::Instant};

use super::{
    budget::{Allowance, Budget},
    features::Features,
    pending::Pending,
    upgrade::Door,
};
use crate::{
    auth::ResumeToken,
    clock::Millis,
    hub::{Arrival, HubError, Membership, Missed, Outbox},
    id::RoomId,
    protocol::{
        ClientMessage, Close, Code, Frame, Inbound, JoinFrame, Received, ResumeFrame, ServerFrame, decode, encode,
    },
    room::{Action, Join, Json, Refusal, Resume, Shown},
    telemetry::Subject,
};

/// A frame counts as one message for each so many bytes that it has begun: what is passed on to many must cost its sender something.
const BYTES_PER_MESSAGE: usize = 4_096;
/// And coming in costs as much as so many: it makes rooms, and answers that are as long as the room is large.
const ENTRY: u32 = 9;
/// Between two ERROR rate_limited for frames without an `id`, in ms.
const COMPLAINT: Millis = 1_000;

/// Who is at the other end of a socket, and what becomes of what it says.
#[derive(Debug)]
pub(super) struct Speaker {
    pub(super) door: Arc<Door>,
    pub(super) outbox: Arc<Outbox>,
    origin: Shown,
    /// Whom its log lines are about.
    pub(super) subject: Arc<Subject>,
    /// The type of the frame in hand.
    pub(super) hearing: Received,
    seat: Option<Membership>,
    /// Answered once the client has its ROOM_STATE, and in it the token to resume with. Only where its seat depends on that.
    received_state: Option<oneshot::Receiver<()>>,
    features: Features,
    pub(super) budget: Budget,
    complained: Millis,
    /// On the heap: few wait.
    pending: Option<Box<Pending>>,
}

impl Speaker {
    pub(super) fn new(door: Arc<Door>, outbox: Arc<Outbox>, origin: Shown, subject: Arc<Subject>) -> Self {
        Self {
            door,
            outbox,
            origin,
            subject,
            hearing: Received::Invalid,
            seat: None,
            received_state: None,
            features: Features::default(),
            budget: Budget::default(),
            complained: 0,
            pending: None,
        }
    }

    pub(super) fn send(&self, frame: Frame) {
        self.outbox.push(frame, false);
    }

    /// The answer to PING, which goes ahead of everything that waits.
    pub(super) fn pong(&self, t0: Option<f64>, received: Millis) -> Frame {
        let now = self.door.clock.now();
        let (t1, t2) = (t0.map(|_| received), t0.map(|_| now));
        encode(&ServerFrame::Pong { timestamp: now, t0, t1, t2 })
    }

    /// Whether another frame of `bytes` is within the budget; if not, when it would be, in ms.
    pub(super) fn admit(&mut self, bytes: usize, now: Millis) -> Result<(), Millis> {
        self.charge(u32::try_from(1 + bytes / BYTES_PER_MESSAGE).unwrap_or(u32::MAX), now)
    }

    fn charge(&mut self, amount: u32, now: Millis) -> Result<(), Millis> {
        let allowance = Allowance { rate: self.door.rate, burst: self.door.burst };
        let free = self.budget.held_until().is_none();
        let charged = self.budget.charge(amount, allowance, now, Instant::now());
        if free && self.budget.held_until().is_some() {
            self.door.metrics.reads_delayed.inc();
        }
        if charged.is_err()
            && self.budget.is_exhausted(allowance)
            && let Some(close) = Code::RateLimited.close()
        {
            self.outbox.close(close);
        }
        charged
    }

    /// A frame is beyond the budget. What has an `id`, and who asks to come in, is told so each time; all else not more than once a second.
    pub(super) fn limited(&mut self, id: Option<&Json>, entry: bool, wait: Millis, now: Millis) {
        let fresh = now.saturating_sub(self.complained) >= COMPLAINT;
        if fresh {
            self.complained = now;
            if let Some(skipped) = self.door.refusals.pass(now) {
                tracing::info!(
                    code = Code::RateLimited.as_str(),
                    wait,
                    skipped,
                    "it sends more than it may, frames are refused"
                );
            }
        } else if id.is_none() && !entry {
            return;
        }
        self.error(id, Code::RateLimited, "too many messages, this one was dropped", Some(wait));
    }

    /// A frame is beyond the budget and nothing follows from it, but for a PING, whose answer it gets: who is not heard must not be taken
    /// for dead.
    pub(super) fn turn_away(&mut self, text: &str, wait: Millis, received: Millis) -> Option<Frame> {
        let (id, message) = match decode(text) {
            Ok(inbound) => (inbound.id, Some(inbound.message)),
            Err(error) => (error.id, None),
        };
        let pings = matches!(message, Some(ClientMessage::Ping { .. }));
        self.door.metrics.received.inc(if pings { Received::Ping } else { Received::Dropped });
        match message {
            Some(ClientMessage::Ping { t0 }) => return Some(self.pong(t0, received)),
            Some(ClientMessage::Join(frame)) => self.turn_away_join(frame, id.as_ref(), wait, received),
            Some(ClientMessage::Resume(_)) => self.limited(id.as_ref(), true, wait, received),
            _ => self.limited(id.as_ref(), false, wait, received),
        }
        None
    }

    fn turn_away_join(&mut self, frame: JoinFrame, id: Option<&Json>, wait: Millis, now: Millis) {
        self.limited(id, true, wait, now);
        let features = Features::new(frame.features.as_deref());
        let (room, join) = self.entry(frame, None);
        self.keep_pending(room, join, features, Code::RateLimited, Some(wait));
    }

    /// Does what a frame asks for that came at `received`, or `came` by the clock that never jumps. A pong, if it was a PING.
    pub(super) async fn hear(&mut self, text: &str, received: Millis, came: Instant) -> Option<Frame> {
        let Inbound { id, message } = match decode(text) {
            Ok(inbound) => inbound,
            Err(error) => {
                self.door.metrics.received.inc(Received::Invalid);
                self.malformed(&error);
                return None;
            }
        };
        let kind = Received::of(&message);
        self.door.metrics.received.inc(kind);
        self.hearing = kind;
        tracing::trace!(r#type = kind.as_str(), bytes = text.len(), "frame");
        let id = id.as_ref();
        let done = match message {
            ClientMessage::Ping { t0 } => return Some(self.pong(t0, received)),
            ClientMessage::Join(join) => match self.charge(ENTRY, received) {
                Ok(()) => self.join(join, id).await,
                Err(wait) => {
                    self.turn_away_join(join, id, wait, received);
                    false
                }
            },
            ClientMessage::Resume(resume) => match self.charge(ENTRY, received) {
                Ok(()) => self.resume(resume, id).await,
                Err(wait) => {
                    self.limited(id, true, wait, received);
                    false
                }
            },
            message => {
                if let ClientMessage::Act(Action::Leave) = message {
                    self.pending = None;
                }
                match self.seat.clone() {
                    Some(seat) => self.speak(&seat, message, id).await,
                    None => self.refused(id, &Refusal::NotJoined.into()),
                }
            }
        };
        if done && kind.is_relayed() {
            self.door.metrics.relay.observe(came.elapsed());
        }
        None
    }

    /// Whether it was granted.
    async fn speak(&mut self, seat: &Membership, message: ClientMessage, id: Option<&Json>) -> bool {
        let hub = &self.door.hub;
        let leaves = matches!(message, ClientMessage::Act(Action::Leave));
        let done = match message {
            ClientMessage::Act(action) => match self.screen(action) {
                Ok(action) => {
                    let kicked = if let Action::Kick { who, .. } = &action { Some(who.clone()) } else { None };
                    let done = self.door.hub.act(seat, action).await;
                    if let (Ok(_), Some(who)) = (&done, kicked) {
                        tracing::info!(to = %who, "kicked a member");
                    }
                    done
                }
                Err(error) => Err(error),
            },
            ClientMessage::Position { position, playing } => {
                hub.report(seat, position, playing).await.map(|()| seat.version())
            }
            ClientMessage::RequestSync { respect_auto_play } => hub.sync(seat, respect_auto_play).map(|frame| {
                self.send(frame);
                seat.version()
            }),
            ClientMessage::Signal(signal) => hub.signal(seat, &signal).await.map(|()| seat.version()),
            ClientMessage::Whisper(whisper) => hub.whisper(seat, &whisper).await.map(|()| seat.version()),
            ClientMessage::Ignored | ClientMessage::Ping { .. } | ClientMessage::Join(_) | ClientMessage::Resume(_) => {
                Ok(seat.version())
            }
        };
        let left = leaves && done.is_ok();
        let granted = match done {
            Ok(version) => self.ack(id, version),
            // A peer that has just left is no mistake; only who asked for it is told.
            Err(HubError::Refused(Refusal::NoSuchMember)) if id.is_none() && !self.features.ack() => false,
            Err(error) => self.refused(id, &error),
        };
        if left {
            tracing::info!("left");
            self.seat = None;
            self.outbox.close(Close::Left);
        }
        granted
    }

    /// What depends on the sender's generation and on this deployment.
    fn screen(&self, action: Action) -> Result<Action, HubError> {
        match action {
            Action::ChangeUrl { url, .. } if !self.door.allows_url(&url) => Err(HubError::UrlNotAllowed),
            Action::ChangeUrl { url, time, .. } => Ok(Action::ChangeUrl { url, time, legacy: !self.features.modern }),
            action => Ok(action),
        }
    }

    async fn join(&mut self, frame: JoinFrame, id: Option<&Json>) -> bool {
        // The last word counts: whatever waits is replaced.
        self.pending = None;
        let features = Features::new(frame.features.as_deref());
        let token = features.resume().then(|| self.door.keys.fresh_token(&frame.user_id));
        let (room, join) = self.entry(frame, token.as_ref());
        // First-generation clients never ask again.
        let again = (!features.modern).then(|| join.clone());
        match self.come_in(&room, join, features, token).await {
            Ok(version) => self.ack(id, version),
            Err(error) => {
                self.refused(id, &error);
                if let Some(join) = again {
                    self.keep_pending(room, join, features, error.code(), error.retry_after());
                }
                false
            }
        }
    }

    /// Who comes in, where, and what it shows.
    fn entry(&self, frame: JoinFrame, token: Option<&ResumeToken>) -> (RoomId, Join) {
        let keys = &self.door.keys;
        let join = Join {
            conn: self.subject.conn(),
            node: self.door.hub.node().clone(),
            origin: self.origin,
            username: frame.username,
            pin: frame.pin.map(|pin| keys.pin(&frame.room_id, &pin)),
            proof: frame.resume_token.map(|token| keys.token(&frame.user_id, &token)),
            token: token.map(|token| token.digest),
            asked: None,
            again: false,
            user: frame.user_id,
        };
        (frame.room_id, join)
    }

    async fn come_in(
        &mut self,
        room: &RoomId,
        join: Join,
        features: Features,
        token: Option<ResumeToken>,
    ) -> Result<u64, HubError> {
        // A first-generation client comes in again and again on the same socket, and an older one of its kind without its name and PIN.
        let elsewhere = self.seat.clone().filter(|seat| seat.room.id != *room || seat.user != join.user);
        if let Some(seat) = elsewhere {
            match self.door.hub.act(&seat, Action::Leave).await {
                Ok(_) | Err(HubError::Refused(Refusal::NotJoined)) => self.seat = None,
                Err(error) => return Err(error),
            }
        }
        self.subject.sit(room, &join.user);
        let arrival = self.arrival(features, token, None);
        let (seat, version) = self.door.hub.join(room, join, arrival).await?;
        tracing::info!(version, features = ?features.names(), "joined");
        // The ping follows ROOM_STATE: its answer says that the token has arrived.
        self.received_state = features.resume().then(|| self.outbox.ask());
        self.features = features;
        self.seat = Some(seat);
        Ok(version)
    }

    /// What becomes of a JOIN that was refused, if its client will not send it again.
    fn keep_pending(&mut self, room: RoomId, join: Join, features: Features, why: Code, retry_after: Option<Millis>) {
        self.pending = None;
        if features.modern {
            return;
        }
        if why == Code::Unavailable {
            // It would show a party that it is not in, for ever. A closed socket it opens again, and if this goes on the upgrade
            // is refused, after which it waits longer and longer.
            self.outbox.close(Close::TryLater);
        } else if why.passes() {
            let wait = self.door.hub.wait(&room, self.subject.conn(), &self.outbox);
            self.pending = Some(Box::new(Pending::new(room, join, why, retry_after, wait)));
        }
    }

    /// When something is to be done that no frame asks for: when a socket that is held back may be read again, or a JOIN that waits is tried.
    pub(super) fn wakes_at(&self) -> Option<Instant> {
        let tried = self.pending.as_ref().map(|pending| pending.next);
        [self.budget.held_until(), tried].into_iter().flatten().min()
    }

    /// The room that a JOIN waits for has changed.
    pub(super) fn prompt(&mut self) {
        if let Some(pending) = &mut self.pending {
            pending.prompt();
        }
    }

    /// Whether a JOIN that waits is to be tried at `now`.
    pub(super) fn is_due(&self) -> bool {
        self.pending.as_ref().is_some_and(|pending| pending.next <= Instant::now())
    }

    /// Decides the JOIN that waits once more. Its client is told when it is in, or when it is kept out by something else than before.
    pub(super) async fn try_again(&mut self) {
        let Some(mut pending) = self.pending.take() else { return };
        // It was not paid for yet.
        if pending.why == Code::RateLimited
            && let Err(wait) = self.charge(1 + ENTRY, self.door.clock.now())
        {
            pending.refused(Code::RateLimited, Some(wait));
            self.pending = Some(pending);
            return;
        }
        let join = Join { again: true, ..pending.join.clone() };
        let Err(error) = self.come_in(&pending.room, join, Features::default(), None).await else {
            return;
        };
        let code = error.code();
        if code != pending.why {
            self.hearing = Received::Join;
            self.refused(None, &error);
        }
        if code.passes() {
            pending.refused(code, error.retry_after());
            self.pending = Some(pending);
        } else if code == Code::Unavailable {
            self.outbox.close(Close::TryLater);
        }
    }

    async fn resume(&mut self, frame: ResumeFrame, id: Option<&Json>) -> bool {
        self.pending = None;
        if self.seat.is_some() {
            self.error(id, Code::InvalidMessage, "RESUME is for a new socket", None);
            return false;
        }
        self.subject.sit(&frame.room_id, &frame.user_id);
        let features = Features::new(Some(frame.features.as_deref().unwrap_or(&["resume".into(), "ack".into()])));
        let keys = &self.door.keys;
        let token = keys.fresh_token(&frame.user_id);
        let resume = Resume {
            user: frame.user_id.clone(),
            conn: self.subject.conn(),
            node: self.door.hub.node().clone(),
            origin: self.origin,
            proof: keys.token(&frame.user_id, &frame.resume_token),
            token: token.digest,
        };
        let missed = Missed { epoch: frame.epoch, version: frame.version };
        let arrival = self.arrival(features, Some(token), Some(missed));
        match self.door.hub.resume(&frame.room_id, resume, arrival).await {
            Ok((seat, version)) => {
                tracing::info!(version, missed = version.saturating_sub(frame.version), "resumed");
                self.features = features;
                self.seat = Some(seat);
                self.ack(id, version)
            }
            Err(error) => self.refused(id, &error),
        }
    }

    fn arrival(&self, features: Features, token: Option<ResumeToken>, missed: Option<Missed>) -> Arrival {
        Arrival {
            conn: self.subject.conn(),
            outbox: Arc::clone(&self.outbox),
            modern: features.modern,
            features: features.names(),
            token: token.map(|token| token.text),
            missed,
        }
    }

    /// The socket is gone. Clients that can resume keep their seat for a while; while the node is being stopped all do, since all of
    /// them come back.
    pub(super) async fn depart(mut self) {
        let keep_seat = self.can_come_back();
        let Some(seat) = self.seat else { return };
        if let Err(error) = self.door.hub.disconnect(&seat, keep_seat).await {
            tracing::warn!(%error, "a departure could not be committed; the seat is given up when the lease or the window ends");
        }
    }

    /// Whether a seat that is kept serves the client. One that never got its token could neither resume nor join: the seat would keep out
    /// the very client that it is kept for.
    fn can_come_back(&mut self) -> bool {
        match &mut self.received_state {
            Some(received) => received.try_recv().is_ok(),
            None => self.features.resume() || self.door.admission.is_closed(),
        }
    }
}
