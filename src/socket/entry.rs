//! JOIN, RESUME, and waiting JOINs.

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    answer::Outcome,
    client_session::ClientSession,
    features::Features,
    invitations::{Uninvited, invited},
    pending::Pending,
};
use crate::{
    auth::ResumeToken,
    clock::Millis,
    hub::{HubError, JoiningSocket, Membership},
    id::RoomId,
    protocol::{ClientFrameType, Close, Code, JoinFrame, ResumeFrame},
    room::{Action, Grant, Join, Json, Refusal, Resume, StreamPosition},
};

impl ClientSession {
    pub(super) async fn join(&mut self, mut frame: JoinFrame, id: Option<&Json>) -> Outcome {
        // The latest JOIN counts, and replaces a waiting one.
        self.pending = None;
        let JoinFrame { token, room_id, user_id, username, .. } = &mut frame;
        let mut grant = match self.identify(token.as_ref(), room_id, user_id, Some(username)).await {
            Ok(grant) => grant,
            Err(why) => {
                self.not_admitted(id, why);
                return Outcome::Refused;
            }
        };
        let redeemed = match &frame.invite {
            None => None,
            Some(text) => match self.redeem(text, &frame.room_id, &frame.user_id).await {
                Ok(redeemed) => Some(redeemed),
                Err(Uninvited::Invitation(why)) => {
                    self.not_invited(id, why);
                    return Outcome::Refused;
                }
                Err(Uninvited::Hub(error)) => return self.refused(id, &error),
            },
        };
        if let Some((invitation, _)) = &redeemed {
            grant = invited(grant, invitation);
        }
        let newly = redeemed.filter(|(_, is_new)| *is_new).map(|(invitation, _)| (invitation, frame.user_id.clone()));
        let features = Features::new(frame.features.as_deref());
        let token = features.resume().then(|| self.gateway.keys.fresh_token(&frame.user_id));
        let invited = frame.invite.is_some();
        let (room, mut join) = self.entry(frame, token.as_ref(), grant);
        join.invited = invited;
        // A use of an invitation is not held for a client that waits.
        let again = (!features.generation.joins_again() && newly.is_none()).then(|| join.clone());
        match self.come_in(&room, join, features, token).await {
            Ok(version) => self.ack(id, version),
            Err(error) => {
                if let Some((invitation, user)) = newly {
                    self.unredeem(&invitation, &user).await;
                }
                self.refused(id, &error);
                if let Some(join) = again {
                    self.keep_pending(room, join, features, error.code(), error.retry_after());
                }
                Outcome::Refused
            }
        }
    }

    /// The room of a JOIN, and the command for it.
    pub(super) fn entry(
        &self,
        frame: JoinFrame,
        token: Option<&ResumeToken>,
        grant: Option<Box<Grant>>,
    ) -> (RoomId, Join) {
        let keys = &self.gateway.keys;
        let join = Join {
            conn: self.subject.conn(),
            node: self.gateway.hub.node().clone(),
            origin: self.origin,
            username: frame.username,
            pin: frame.pin.map(|pin| keys.pin(&frame.room_id, &pin)),
            proof: frame.resume_token.map(|token| keys.token(&frame.user_id, &token)),
            token: token.map(|token| token.digest),
            asked: None,
            again: false,
            grant,
            // Whoever calls this has not looked at the invitation.
            invited: false,
            shares: self.account.as_ref().is_some_and(|account| account.has_share()),
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
        // A first-generation client repeats JOIN on the same socket; older ones omit their name and PIN then.
        let elsewhere = self.seat.clone().filter(|seat| seat.room.id != *room || seat.user != join.user);
        if let Some(seat) = elsewhere {
            match self.gateway.hub.act(&seat, Action::Leave).await {
                Ok(_) | Err(HubError::Refused(Refusal::NotJoined)) => self.seat = None,
                Err(error) => return Err(error),
            }
        }
        self.subject.sit(room, &join.user);
        let joining_socket = self.joining_socket(features, token, None);
        let (seat, version) = self.gateway.hub.join(room, join, joining_socket).await?;
        tracing::info!(version, features = ?features.names(), "joined");
        // The ping follows ROOM_STATE: its pong shows that the token has arrived.
        self.received_state = features.resume().then(|| self.outbox.ask());
        self.features = features;
        self.sit(seat);
        Ok(version)
    }

    /// Takes the seat, and shares the id of its room, so that an idle socket does not keep the one that its client sent.
    fn sit(&mut self, seat: Membership) {
        self.subject.sit(&seat.room.id, &seat.user);
        self.seat = Some(seat);
    }

    /// Keeps a JOIN that was refused, if its client will not send it again.
    pub(super) fn keep_pending(
        &mut self,
        room: RoomId,
        join: Join,
        features: Features,
        why: Code,
        retry_after: Option<Millis>,
    ) {
        self.pending = None;
        if features.generation.joins_again() {
            return;
        }
        if why == Code::Unavailable {
            // The client would show a party that it is not in, for ever. It reopens a closed socket, and if the upgrade is refused it backs
            // off.
            self.outbox.close(Close::TryLater);
        } else if why.passes() {
            let wait = self.gateway.hub.wait(&room, self.subject.conn(), &self.outbox);
            self.pending = Some(Box::new(Pending::new(room, join, why, retry_after, wait)));
        }
    }

    /// The time of the next action without a frame: reading again, retrying the waiting JOIN, giving up a client that sends none, or the end
    /// of a token.
    pub(super) fn wakes_at(&self) -> Option<Instant> {
        let tried = self.pending.as_ref().map(|pending| pending.next);
        let late = self.newcomer.as_ref().and_then(|newcomer| newcomer.joins_by);
        let token = self.held.as_ref().map(|held| held.next());
        [self.budget.held_until(), tried, late, token].into_iter().flatten().min()
    }

    /// Prompts the waiting JOIN, because its room has changed.
    pub(super) fn prompt(&mut self) {
        if let Some(pending) = &mut self.pending {
            pending.prompt();
        }
    }

    /// Whether the waiting JOIN is to be retried at `now`.
    pub(super) fn is_due(&self) -> bool {
        self.pending.as_ref().is_some_and(|pending| pending.next <= Instant::now())
    }

    /// Retries the waiting JOIN. Its client gets a frame if it is admitted, or if the reason has changed.
    pub(super) async fn try_again(&mut self) {
        let Some(mut pending) = self.pending.take() else { return };
        // The retry was not charged yet.
        if pending.why == Code::RateLimited
            && let Err(wait) = self.charge(1 + ClientFrameType::Join.extra_cost(), self.gateway.clock.now())
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
            self.hearing = ClientFrameType::Join.into();
            self.refused(None, &error);
        }
        if code.passes() {
            pending.refused(code, error.retry_after());
            self.pending = Some(pending);
        } else if code == Code::Unavailable {
            self.outbox.close(Close::TryLater);
        }
    }

    pub(super) async fn resume(&mut self, mut frame: ResumeFrame, id: Option<&Json>) -> Outcome {
        self.pending = None;
        if self.seat.is_some() {
            self.error(id, Code::InvalidMessage, "RESUME is for a new socket", None);
            return Outcome::Refused;
        }
        let ResumeFrame { token, room_id, user_id, .. } = &mut frame;
        let grant = match self.identify(token.as_ref(), room_id, user_id, None).await {
            Ok(grant) => grant,
            Err(why) => {
                self.not_admitted(id, why);
                return Outcome::Refused;
            }
        };
        self.subject.sit(&frame.room_id, &frame.user_id);
        let features = Features::new(Some(frame.features.as_deref().unwrap_or(&["resume".into(), "ack".into()])));
        let keys = &self.gateway.keys;
        let token = keys.fresh_token(&frame.user_id);
        let resume = Resume {
            user: frame.user_id.clone(),
            conn: self.subject.conn(),
            node: self.gateway.hub.node().clone(),
            origin: self.origin,
            proof: keys.token(&frame.user_id, &frame.resume_token),
            token: token.digest,
            grant,
        };
        let missed = StreamPosition { epoch: frame.epoch, version: frame.version };
        let joining_socket = self.joining_socket(features, Some(token), Some(missed));
        match self.gateway.hub.resume(&frame.room_id, resume, joining_socket).await {
            Ok((seat, version)) => {
                tracing::info!(version, missed = version.saturating_sub(frame.version), "resumed");
                self.features = features;
                self.sit(seat);
                self.ack(id, version)
            }
            Err(error) => self.refused(id, &error),
        }
    }

    fn joining_socket(
        &self,
        features: Features,
        token: Option<ResumeToken>,
        missed: Option<StreamPosition>,
    ) -> JoiningSocket {
        JoiningSocket {
            conn: self.subject.conn(),
            outbox: Arc::clone(&self.outbox),
            generation: features.generation,
            // The rooms of a user whom a token names are the user's, wherever they come from.
            account: self.held.as_ref().map(|held| Arc::clone(held.account())).or_else(|| self.account.clone()),
            features: features.names(),
            token: token.map(|token| token.text),
            missed,
        }
    }
}
