use std::sync::Arc;

use tokio::time::Instant;

use super::{features::Features, upgrade::Door};
use crate::{
    auth::ResumeToken,
    clock::Millis,
    hub::{Arrival, Membership, Missed, Outbox},
    limit::Bucket,
    protocol::{
        ClientMessage, Close, Code, Frame, Inbound, JoinFrame, Received, ResumeFrame, ServerFrame, decode, encode,
    },
    room::{Action, Digest, Join, Json, Refusal, Resume},
    telemetry::Subject,
};

/// One who goes on this many bursts over its budget is closed.
const PATIENCE: u32 = 10;
/// A frame counts as one message for each so many bytes that it has begun: what is passed on to many must cost its sender something.
const BYTES_PER_MESSAGE: usize = 4_096;
/// And coming in costs as much as so many: it makes rooms, and answers that are as long as the room is large.
const ENTRY: u32 = 9;
/// Between two ERROR rate_limited, in ms.
const COMPLAINT: Millis = 1_000;

/// Who is at the other end of a socket, and what becomes of what it says.
#[derive(Debug)]
pub(super) struct Speaker {
    pub(super) door: Arc<Door>,
    pub(super) outbox: Arc<Outbox>,
    origin: Digest,
    /// Whom its log lines are about.
    pub(super) subject: Arc<Subject>,
    /// The type of the frame in hand.
    pub(super) hearing: Received,
    seat: Option<Membership>,
    /// It said LEAVE: nothing that it says after that counts.
    left: bool,
    features: Features,
    budget: Bucket,
    over: u32,
    complained: Millis,
}

impl Speaker {
    pub(super) fn new(door: Arc<Door>, outbox: Arc<Outbox>, origin: Digest, subject: Arc<Subject>) -> Self {
        Self {
            door,
            outbox,
            origin,
            subject,
            hearing: Received::Invalid,
            seat: None,
            left: false,
            features: Features::default(),
            budget: Bucket::default(),
            over: 0,
            complained: 0,
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

    /// Whether another frame of `bytes` is within the budget. If not it is dropped, and the sender is told, but not each time.
    pub(super) fn admit(&mut self, bytes: usize, now: Millis) -> bool {
        self.charge(u32::try_from(1 + bytes / BYTES_PER_MESSAGE).unwrap_or(u32::MAX), now)
    }

    fn charge(&mut self, amount: u32, now: Millis) -> bool {
        let (rate, burst) = (self.door.rate, self.door.burst);
        let Err(wait) = self.budget.take(amount, rate, burst, now) else {
            self.over = self.over.saturating_sub(1);
            return true;
        };
        self.over += 1;
        if now.saturating_sub(self.complained) >= COMPLAINT {
            self.complained = now;
            self.error(None, Code::RateLimited, "too many messages, this one was dropped", Some(wait));
        }
        if self.over > burst.saturating_mul(PATIENCE)
            && let Some(close) = Code::RateLimited.close()
        {
            self.outbox.close(close);
        }
        false
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
            _ if self.left => false,
            ClientMessage::Join(_) | ClientMessage::Resume(_) if !self.charge(ENTRY, received) => false,
            ClientMessage::Join(join) => self.join(join, id).await,
            ClientMessage::Resume(resume) => self.resume(resume, id).await,
            message => match self.seat.clone() {
                Some(seat) => self.speak(&seat, message, id).await,
                None => self.refused(id, &Refusal::NotJoined.into()),
            },
        };
        if done && kind.is_relayed() {
            self.door.metrics.relay.observe(came.elapsed());
        }
        None
    }

    /// Whether it was granted.
    async fn speak(&mut self, seat: &Membership, message: ClientMessage, id: Option<&Json>) -> bool {
        let hub = &self.door.hub;
        let done = match message {
            ClientMessage::Act(Action::Leave) => {
                let done = hub.act(seat, Action::Leave).await;
                self.left = done.is_ok();
                if self.left {
                    tracing::info!("left");
                }
                done
            }
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
        let granted = match done {
            Ok(version) => self.ack(id, version),
            // A peer that has just left is no mistake; only who asked for it is told.
            Err(crate::hub::HubError::Refused(Refusal::NoSuchMember)) if id.is_none() && !self.features.ack() => false,
            Err(error) => self.refused(id, &error),
        };
        if self.left {
            self.seat = None;
            self.outbox.close(Close::Left);
        }
        granted
    }

    /// What depends on the sender's generation and on this deployment.
    fn screen(&self, action: Action) -> Result<Action, crate::hub::HubError> {
        match action {
            Action::ChangeUrl { url, .. } if !self.door.room.allows_url(&url) => {
                Err(crate::hub::HubError::UrlNotAllowed)
            }
            Action::ChangeUrl { url, time, .. } => Ok(Action::ChangeUrl { url, time, legacy: !self.features.modern }),
            action => Ok(action),
        }
    }

    async fn join(&mut self, frame: JoinFrame, id: Option<&Json>) -> bool {
        // A first-generation client comes in again and again on the same socket, and an older one of its kind without its name and PIN.
        let elsewhere = self.seat.clone().filter(|seat| seat.room.id != frame.room_id || seat.user != frame.user_id);
        if let Some(seat) = elsewhere {
            match self.door.hub.act(&seat, Action::Leave).await {
                Ok(_) | Err(crate::hub::HubError::Refused(Refusal::NotJoined)) => self.seat = None,
                Err(error) => return self.refused(id, &error),
            }
        }
        self.subject.sit(&frame.room_id, &frame.user_id);
        let features = Features::new(frame.features.as_deref());
        let keys = &self.door.keys;
        let token = features.resume().then(|| keys.fresh_token(&frame.user_id));
        let join = Join {
            user: frame.user_id.clone(),
            conn: self.subject.conn(),
            node: self.door.hub.node().clone(),
            origin: self.origin,
            username: frame.username,
            pin: frame.pin.map(|pin| keys.pin(&frame.room_id, &pin)),
            proof: frame.resume_token.map(|token| keys.token(&frame.user_id, &token)),
            token: token.as_ref().map(|token| token.digest),
        };
        let arrival = self.arrival(features, token, None);
        match self.door.hub.join(&frame.room_id, join, arrival).await {
            Ok((seat, version)) => {
                tracing::info!(version, features = ?features.names(), "joined");
                self.features = features;
                self.seat = Some(seat);
                self.ack(id, version)
            }
            Err(error) => {
                self.refused(id, &error);
                // It would show a party that it is not in, for ever. A closed socket it opens again, and if this goes on the upgrade
                // is refused, after which it waits longer and longer.
                if !features.modern && error.code() == Code::Unavailable {
                    self.outbox.close(Close::TryLater);
                }
                false
            }
        }
    }

    async fn resume(&mut self, frame: ResumeFrame, id: Option<&Json>) -> bool {
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
    pub(super) async fn depart(self) {
        let Some(seat) = self.seat else { return };
        let keep_seat = self.features.resume() || self.door.admission.is_closed();
        if let Err(error) = self.door.hub.disconnect(&seat, keep_seat).await {
            tracing::warn!(%error, "a departure could not be committed; the seat is given up when the lease or the window ends");
        }
    }
}
