//! Charges the frames of a client, and answers those beyond its budget.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{client_session::ClientSession, features::Features};
use crate::{
    account::Account,
    clock::Millis,
    config::Resource,
    hub::Membership,
    protocol::{ClientFrameType, ClientMessage, Code, Frame, Hello, MemberMessage, Received, decode},
    room::{Action, Json},
};

/// The number of bytes that cost as much as one message, because a large frame that is relayed to many must cost its sender something.
const BYTES_PER_MESSAGE: usize = 4_096;
/// The number of bytes of a broadcast that cost as much as one message: every member has to read them. Three who send as much as they may
/// give a member 300 KB a second to read.
const BROADCAST_BYTES_PER_MESSAGE: usize = 1_024;
/// The number of members for which a broadcast costs one message more.
const MEMBERS_PER_MESSAGE: usize = 64;
/// The number of punctuation marks of JSON that cost as much as one message: they, not bytes, are what parsing takes time for. In messages
/// of a kilobyte at most there are not enough of them to matter.
const MARKS_PER_MESSAGE: usize = 256;
const FEW_BYTES: usize = 1_024;
/// The number of bytes of text that cost as much as one message if the room and the ledger keep them.
const KEPT_BYTES_PER_MESSAGE: usize = 256;
/// What an event takes in the ledger, roughly, beside its texts.
const EVENT_BYTES: usize = 160;
/// What a frame costs for each member that it is relayed to.
const DELIVERY: Duration = Duration::from_micros(4);
/// How long a socket is not read at most, whatever its client owes: meanwhile no pong is seen.
const LONGEST_REST: Duration = Duration::from_secs(2);
/// Minimum interval, in ms, between two ERROR rate_limited for frames without an `id`.
const COMPLAINT: Millis = 1_000;

impl ClientSession {
    /// The accounts that are charged: of the client's address and, where a token says who it is, of its user.
    fn accounts(&self) -> impl Iterator<Item = &Arc<Account>> {
        self.account.iter().chain(self.held.iter().map(|held| held.account()))
    }

    /// Charges a frame that took `read` bytes with the headers of its parts, to the socket and to the account of its client. If it is beyond
    /// a budget: when to retry, in ms.
    pub(super) fn admit(&mut self, text: &str, read: u32, now: Millis) -> Result<(), Millis> {
        let bytes = text.len().max(read as usize);
        let cost = 1 + bytes / BYTES_PER_MESSAGE + marks(text) / MARKS_PER_MESSAGE;
        let cost = u32::try_from(cost).unwrap_or(u32::MAX);
        for account in self.accounts() {
            let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
            account.spend(Resource::Messages, cost, now).map_err(|(_, wait)| wait)?;
            account.spend(Resource::Bytes, bytes, now).map_err(|(_, wait)| wait)?;
        }
        self.charge(cost, now)
    }

    /// Charges the CPU time of a frame that came then and was not waited for.
    pub(super) fn spend_cpu(&self, came: Instant) {
        for account in self.accounts() {
            account.spend_cpu(came.elapsed(), || self.gateway.clock.now());
        }
    }

    /// Charges a message of a member for what it costs beyond every frame. If it is beyond a budget: when to retry, in ms.
    pub(super) fn charge_member(
        &mut self,
        seat: &Membership,
        message: &MemberMessage,
        bytes: usize,
        now: Millis,
    ) -> Result<(), Millis> {
        let MemberMessage::Act(action) = message else { return Ok(()) };
        if let Action::Broadcast { .. } = action {
            self.charge_broadcast(bytes, seat.members(), now)?;
        }
        self.charge_kept(action, now)
    }

    /// Charges a broadcast by its size and its receivers.
    fn charge_broadcast(&mut self, bytes: usize, members: usize, now: Millis) -> Result<(), Millis> {
        let size = (bytes / BROADCAST_BYTES_PER_MESSAGE).saturating_sub(bytes / BYTES_PER_MESSAGE);
        let more = u32::try_from(size + members / MEMBERS_PER_MESSAGE).unwrap_or(u32::MAX);
        if more == 0 { Ok(()) } else { self.charge(more, now) }
    }

    /// Charges what an action leaves in the room and in the ledger.
    fn charge_kept(&mut self, action: &Action, now: Millis) -> Result<(), Millis> {
        let Some(text) = kept(action) else { return Ok(()) };
        for account in self.accounts() {
            let bytes = u32::try_from(EVENT_BYTES + text).unwrap_or(u32::MAX);
            account.append(bytes, now).map_err(|(_, wait)| wait)?;
        }
        let more = u32::try_from(text / KEPT_BYTES_PER_MESSAGE).unwrap_or(u32::MAX);
        if more == 0 { Ok(()) } else { self.charge(more, now) }
    }

    /// Charges the CPU time that a relayed frame costs for its receivers.
    pub(super) fn charge_fan_out(&self) {
        let Some(seat) = &self.seat else { return };
        let receivers = u32::try_from(seat.members()).unwrap_or(u32::MAX);
        for account in self.accounts() {
            account.spend_cpu(DELIVERY.saturating_mul(receivers), || self.gateway.clock.now());
        }
    }

    /// Stops reading for a while if the client has used up its CPU time.
    pub(super) fn rest_if_in_debt(&mut self, now: Instant) {
        let wait = self.accounts().map(|account| account.cpu_debt(|| self.gateway.clock.now())).max().unwrap_or(0);
        if wait > 0 && self.budget.held_until().is_none() {
            // All sockets of the client wait for the same debt. If they were read again at the same moment, others would wait for all of them.
            let rest = Duration::from_millis(wait).mul_f64(1.0 + rand::random::<f64>());
            self.budget.hold(now + rest.min(LONGEST_REST));
            self.gateway.metrics.reads_delayed.inc();
        }
    }

    pub(super) fn charge(&mut self, amount: u32, now: Millis) -> Result<(), Millis> {
        let allowance = self.gateway.limits.allowance();
        let free = self.budget.held_until().is_none();
        let charged = self.budget.charge(amount, allowance, now, Instant::now());
        if free && self.budget.held_until().is_some() {
            self.gateway.metrics.reads_delayed.inc();
        }
        if charged.is_err()
            && self.budget.is_exhausted(allowance)
            && let Some(close) = Code::RateLimited.close()
        {
            self.outbox.close(close);
        }
        charged
    }

    /// Answers a frame that is beyond the budget. A frame with an `id`, a JOIN and a RESUME are answered each time, others once a second.
    pub(super) fn limited(&mut self, id: Option<&Json>, entry: bool, wait: Millis, now: Millis) {
        let fresh = now.saturating_sub(self.complained) >= COMPLAINT;
        if fresh {
            self.complained = now;
            if let Some(skipped) = self.gateway.refusals.pass(now) {
                tracing::info!(
                    code = Code::RateLimited.as_str(),
                    wait,
                    skipped,
                    "a client exceeds its message budget; its frames are refused"
                );
            }
        } else if id.is_none() && !entry {
            return;
        }
        self.error(id, Code::RateLimited, "too many messages, this one was dropped", Some(wait));
    }

    /// Refuses a frame beyond the budget. A PING is answered all the same, so that the client does not take the server for dead.
    pub(super) fn turn_away(&mut self, text: &str, wait: Millis, received: Millis) -> Option<Frame> {
        let (id, message) = match decode(text) {
            Ok(inbound) => (inbound.id, Some(inbound.message)),
            Err(error) => (error.id, None),
        };
        let pings = matches!(message, Some(ClientMessage::Ping { .. }));
        self.gateway.metrics.received.inc(if pings { ClientFrameType::Ping.into() } else { Received::Dropped });
        match message {
            Some(ClientMessage::Ping { t0 }) => return Some(self.pong(t0, received)),
            Some(ClientMessage::Hello(hello)) => self.turn_away_hello(hello, id.as_ref(), wait, received),
            Some(ClientMessage::Member(_)) | None => self.limited(id.as_ref(), false, wait, received),
        }
        None
    }

    /// Refuses a JOIN or RESUME beyond the budget.
    pub(super) fn turn_away_hello(&mut self, hello: Hello, id: Option<&Json>, wait: Millis, now: Millis) {
        self.newcomer = None;
        self.limited(id, true, wait, now);
        match hello {
            // Who has an invitation repeats its JOIN.
            Hello::Join(frame) if frame.invite.is_some() => {}
            Hello::Join(frame) => {
                let features = Features::new(frame.features.as_deref());
                // Who has to show a token repeats its JOIN.
                let Ok(grant) = self.guest() else { return };
                let (room, join) = self.entry(frame, None, grant);
                self.keep_pending(room, join, features, Code::RateLimited, Some(wait));
            }
            Hello::Resume(_) => {}
        }
    }
}

/// The bytes of text that an action leaves in the ledger, if it leaves anything.
fn kept(action: &Action) -> Option<usize> {
    let length = |text: &Option<Box<str>>| text.as_ref().map_or(0, |text| text.len());
    match action {
        Action::Ready { .. } | Action::Heartbeat { .. } | Action::Report { .. } | Action::Watching { .. } => None,
        Action::ChangeUrl { url, .. } => Some(url.len()),
        Action::Rename { username } => Some(username.len()),
        Action::Kick { note, .. } | Action::Ban { note, .. } => Some(length(note)),
        Action::Broadcast { event, .. } => Some(event.len()),
        Action::Leave
        | Action::PlayPause { .. }
        | Action::Seek { .. }
        | Action::GuestControl { .. }
        | Action::TransferHost { .. }
        | Action::SetRole { .. }
        | Action::LockRoom { .. }
        | Action::SetPin { .. }
        | Action::Regrant { .. }
        | Action::Unban { .. } => Some(0),
    }
}

/// The punctuation marks of a text that is long enough for them to matter.
fn marks(text: &str) -> usize {
    if text.len() <= FEW_BYTES {
        return 0;
    }
    text.bytes().filter(|byte| matches!(byte, b'{' | b'}' | b'[' | b']' | b',' | b':' | b'\\')).count()
}
