//! Who clients are by their tokens, and until when.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{client_session::ClientSession, features::Features, opening::Wish};
use crate::{
    account::{Account, Accounts, Exceeded, Hold},
    clock::Millis,
    config::{AuthMode, Resource, TokenConfig},
    id::{RoomId, UserId},
    protocol::{Close, Code, Confidential, ServerFrame, encode},
    room::{Grant, Right, Rights},
    telemetry::TokenRefused,
    token::{Identity, TokenError, Verifier},
};

/// How long before the end of its token a client is told at the latest; a quarter of what is left if that is shorter.
const WARNING: Duration = Duration::from_mins(1);

/// How the tokens of clients are judged.
#[derive(Debug)]
pub struct Tokens {
    verifier: Arc<Verifier>,
    needed: bool,
    /// Whether a token may be in the URL.
    in_url: bool,
    /// What guests are granted, if that is less than everything.
    guests: Option<Box<Grant>>,
    /// The accounts of users.
    users: Arc<Accounts>,
}

/// The token that a client is held to.
#[derive(Debug)]
pub(super) struct Held {
    identity: Identity,
    /// The place of the socket in the account of the user.
    place: Hold,
    /// When the client is to be told that it expires, unless it has been.
    tells: Option<Instant>,
    /// When it expires.
    ends: Instant,
}

/// Why a client does not come in with its token, or without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    /// Everybody needs one here.
    #[error("a token is needed")]
    NoToken,
    /// It is not valid.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// A client showed two.
    #[error("two tokens were shown, and they are not the same one")]
    Disagree,
    /// It is in the URL, where it may be written to logs.
    #[error("a token in the URL is not accepted here (AUTH_URL_TOKEN)")]
    InUrl,
    /// It is somebody else's.
    #[error("userId is not that of the token")]
    OtherUser,
    /// Its user has as many sockets as one may have.
    #[error(transparent)]
    Exceeded(Exceeded),
    /// It does not allow to come in.
    #[error("rights: the token does not allow to join")]
    NoRight,
}

impl NotAdmitted {
    pub(super) fn label(self) -> TokenRefused {
        match self {
            Self::NoToken => TokenRefused::NoToken,
            Self::Token(error) => TokenRefused::Token(error),
            Self::Disagree => TokenRefused::Disagree,
            Self::InUrl => TokenRefused::InUrl,
            Self::OtherUser => TokenRefused::OtherUser,
            Self::NoRight => TokenRefused::NoRight,
            Self::Exceeded(_) => TokenRefused::Exceeded,
        }
    }

    /// The code for the client.
    pub(super) fn code(self) -> Code {
        match self {
            Self::Token(error) if error.is_temporary() => Code::Unavailable,
            Self::Exceeded(_) => Code::RateLimited,
            Self::Token(TokenError::Room) | Self::OtherUser | Self::NoRight => Code::Forbidden,
            Self::NoToken | Self::Token(_) | Self::Disagree | Self::InUrl => Code::Unauthorized,
        }
    }

    /// How the socket is closed, if nothing that it could send would help.
    pub(super) fn close(self) -> Option<Close> {
        match self {
            Self::Token(TokenError::Revoked) => Some(Close::TokenRevoked),
            Self::Token(TokenError::Expired) => Some(Close::TokenExpired),
            _ if self.code() == Code::Unauthorized => Some(Close::InvalidToken),
            _ => None,
        }
    }
}

impl Tokens {
    /// `None` where nobody looks at tokens.
    pub fn new(config: &TokenConfig, verifier: Arc<Verifier>, users: Arc<Accounts>) -> Option<Self> {
        let (mode, guests) = (config.auth_mode, config.guests());
        if mode == AuthMode::Open {
            return None;
        }
        let grant = || Box::new(Grant { verified: false, role: None, rights: guests, named: false, metadata: None });
        Some(Self {
            verifier,
            needed: mode == AuthMode::Token,
            in_url: config.auth_url_token,
            guests: (guests != Rights::ALL).then(grant),
            users,
        })
    }

    /// Who opens a socket. Nobody, if no token is shown yet: a JOIN may have it.
    pub(super) async fn admit(&self, wish: &Wish, now: Millis) -> Result<Option<Held>, NotAdmitted> {
        if wish.token_in_url && !self.in_url {
            return Err(NotAdmitted::InUrl);
        }
        match wish.token()? {
            Some(token) => {
                let identity = self.verify(token, now).await?;
                let place = self.place(&identity, now)?;
                Ok(Some(Held::new(identity, place, now)))
            }
            None if self.needed && wish.joins() => Err(NotAdmitted::NoToken),
            None => Ok(None),
        }
    }

    /// A place for a socket of a user.
    fn place(&self, identity: &Identity, now: Millis) -> Result<Hold, NotAdmitted> {
        self.users.of_user(&identity.user, now).hold(Resource::Sockets).map_err(NotAdmitted::Exceeded)
    }

    /// Who holds a token.
    async fn verify(&self, token: &str, now: Millis) -> Result<Identity, TokenError> {
        self.verifier.verify_patiently(token, now).await
    }

    fn check(&self, identity: &Identity, room: &RoomId, user: &UserId, now: Millis) -> Result<(), NotAdmitted> {
        self.verifier.admit(identity, room, now)?;
        if *user != identity.user && *user != identity.subject {
            return Err(NotAdmitted::OtherUser);
        }
        if !identity.rights.has(Right::Join) {
            return Err(NotAdmitted::NoRight);
        }
        Ok(())
    }
}

impl Held {
    fn new(identity: Identity, place: Hold, now: Millis) -> Self {
        let left = Duration::from_millis(identity.expires_at.saturating_sub(now));
        let ends = Instant::now() + left;
        Self { identity, place, tells: ends.checked_sub(WARNING.min(left / 4)), ends }
    }

    /// Who it is.
    pub(super) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The account of the user.
    pub(super) fn account(&self) -> &Arc<Account> {
        self.place.account()
    }

    /// When something is to be done because of the time.
    pub(super) fn next(&self) -> Instant {
        self.tells.unwrap_or(self.ends)
    }
}

/// What a token grants in a room.
fn grant_of(identity: &Identity) -> Grant {
    Grant {
        verified: true,
        role: identity.role,
        rights: identity.rights,
        named: identity.name.is_some(),
        metadata: identity.metadata.as_deref().and_then(|json| serde_json::from_str(json).ok()),
    }
}

impl ClientSession {
    /// Finds out who wants to enter a room, by the token that it shows now or has shown before. The user and the name become the token's.
    pub(super) async fn identify(
        &mut self,
        shown: Option<&Confidential>,
        room: &RoomId,
        user: &mut UserId,
        username: Option<&mut Option<Box<str>>>,
    ) -> Result<Option<Box<Grant>>, NotAdmitted> {
        let gateway = Arc::clone(&self.gateway);
        let Some(tokens) = &gateway.tokens else { return Ok(None) };
        let now = gateway.clock.now();
        if let Some(token) = shown {
            let identity = tokens.verify(token, now).await?;
            if self.held.as_ref().is_some_and(|held| held.identity.user != identity.user) {
                return Err(NotAdmitted::Disagree);
            }
            tokens.check(&identity, room, user, now)?;
            let place = match self.held.take() {
                Some(held) => held.place,
                None => tokens.place(&identity, now)?,
            };
            self.held = Some(Box::new(Held::new(identity, place, now)));
        }
        let Some(held) = &self.held else {
            return self.guest();
        };
        tokens.check(&held.identity, room, user, now)?;
        user.clone_from(&held.identity.user);
        if let (Some(username), Some(name)) = (username, &held.identity.name) {
            *username = Some(name.clone());
        }
        Ok(Some(Box::new(grant_of(&held.identity))))
    }

    /// What is granted to somebody who shows no token.
    pub(super) fn guest(&self) -> Result<Option<Box<Grant>>, NotAdmitted> {
        match &self.gateway.tokens {
            Some(tokens) if tokens.needed => Err(NotAdmitted::NoToken),
            Some(tokens) => Ok(tokens.guests.clone()),
            None => Ok(None),
        }
    }

    /// What a new token grants a member, who is held to it from now on; and the name that it gives.
    pub(super) async fn refresh(
        &mut self,
        token: &Confidential,
        room: &RoomId,
        user: &UserId,
    ) -> Result<Option<(Box<Grant>, Option<Box<str>>)>, NotAdmitted> {
        let gateway = Arc::clone(&self.gateway);
        let Some(tokens) = &gateway.tokens else { return Ok(None) };
        let now = gateway.clock.now();
        let identity = tokens.verify(token, now).await?;
        tokens.check(&identity, room, user, now)?;
        // Whoever came in without a token did not prove who they are.
        let Some(held) = self.held.take_if(|_| identity.user == *user) else {
            return Err(NotAdmitted::OtherUser);
        };
        let grant = Box::new(grant_of(&identity));
        let name = identity.name.clone();
        self.held = Some(Box::new(Held::new(identity, held.place, now)));
        Ok(Some((grant, name)))
    }

    /// Whether the token that the client is held to has been revoked. If so, its seat is not kept.
    pub(super) fn is_revoked(&mut self) -> bool {
        let (Some(held), Some(tokens)) = (&self.held, &self.gateway.tokens) else { return false };
        let room = self.seat.as_ref().map(|seat| &seat.room.id);
        let is_revoked = tokens.verifier.revoked().has(&held.identity, room, self.gateway.clock.now());
        if is_revoked {
            self.features = Features::default();
            self.received_state = None;
        }
        is_revoked
    }

    /// Tells the client that its token expires, or ends the connection because it has.
    pub(super) fn check_token(&mut self, now: Instant) -> Option<Close> {
        let held = self.held.as_mut().filter(|held| held.next() <= now)?;
        if held.ends <= now {
            return Some(Close::TokenExpired);
        }
        held.tells = None;
        let expires_at = held.identity.expires_at;
        self.send(encode(&ServerFrame::TokenExpiring { expires_at }));
        None
    }

    /// Answers whoever does not come in with its token.
    pub(super) fn not_admitted(&self, id: Option<&crate::room::Json>, why: NotAdmitted) {
        let code = why.code();
        self.gateway.metrics.tokens_refused.inc(why.label());
        if let Some(skipped) = self.gateway.refusals.pass(self.gateway.clock.now()) {
            tracing::info!(r#type = self.hearing.as_str(), code = code.as_str(), %why, skipped, "refused");
        }
        let retry = code.retryable().then_some(1_000);
        self.error(id, code, &why.to_string(), retry);
        if let Some(close) = why.close() {
            self.outbox.close(close);
        }
    }
}
