use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use super::{
    BadKey, INVITATION, Identity, Key, Revoked, Rules, TokenError, VerifierSettings,
    head::Head,
    jwks::{BadJwksUrl, Jwks, JwksStatus},
};
use crate::{clock::Millis, id::RoomId};

/// How long a token with an unknown key waits for keys that are being fetched.
const PATIENCE: Duration = Duration::from_secs(2);

/// Settings with which no token can be verified.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A key is wrong.
    #[error("AUTH_KEYS: {0}")]
    Keys(#[from] BadKey),
    /// Where the other keys are cannot be used.
    #[error("AUTH_JWKS_URL: {0}")]
    Jwks(#[from] BadJwksUrl),
    /// There is no key.
    #[error(
        "AUTH_MODE needs a key to verify tokens with: set AUTH_KEYS (for instance to app=HS256:SECRET, with a secret that openssl rand -hex \
         32 makes) or AUTH_JWKS_URL"
    )]
    NoKey,
}

/// Verifies tokens, with keys that may change while it runs.
#[derive(Debug)]
pub struct Verifier {
    rules: RwLock<Arc<Rules>>,
    jwks: Option<Jwks>,
    revoked: Arc<Revoked>,
}

impl Verifier {
    /// A verifier with these settings, which refuses what is revoked. Keys of AUTH_JWKS_URL come once [`Verifier::keep_fresh`] runs.
    pub fn new(settings: &VerifierSettings, revoked: Arc<Revoked>) -> Result<Self, SettingsError> {
        if settings.keys.is_empty() && settings.jwks.is_none() {
            return Err(SettingsError::NoKey);
        }
        Ok(Self {
            rules: RwLock::new(Arc::new(Rules::new(settings)?)),
            jwks: settings.jwks.as_ref().map(Jwks::new).transpose()?,
            revoked,
        })
    }

    /// Takes other keys, issuers, audiences and times; what was revoked stays so. The address of the JWKS stays what it was. Returns whether the
    /// keys are other ones.
    pub fn reload(&self, settings: &VerifierSettings) -> Result<bool, SettingsError> {
        if settings.keys.is_empty() && self.jwks.is_none() {
            return Err(SettingsError::NoKey);
        }
        let rules = Arc::new(Rules::new(settings)?);
        let mut known = self.rules.write().unwrap_or_else(PoisonError::into_inner);
        let is_new = known.fingerprint != rules.fingerprint;
        *known = rules;
        Ok(is_new)
    }

    /// Fetches keys for as long as the process lives; without AUTH_JWKS_URL it returns at once.
    pub async fn keep_fresh(&self) {
        if let Some(jwks) = &self.jwks {
            jwks.keep_fresh().await;
        }
    }

    /// Fetches the keys of AUTH_JWKS_URL once; without it there is nothing to do.
    pub async fn fetch_keys(&self) -> Result<(), String> {
        match &self.jwks {
            Some(jwks) => jwks.fetch_once().await,
            None => Ok(()),
        }
    }

    /// What is known of the keys at AUTH_JWKS_URL.
    pub fn jwks(&self) -> Option<JwksStatus> {
        self.jwks.as_ref().map(Jwks::status)
    }

    /// Who holds a token. Whether it is for a room, [`Verifier::admit`] says.
    pub fn verify(&self, token: &str, now: Millis) -> Result<Identity, TokenError> {
        let head = Head::read(token)?;
        if head.typ.as_deref() == Some(INVITATION) {
            return Err(TokenError::Kind);
        }
        let rules = self.rules();
        let claims = self.with_key(&rules, &head, |key| key.open(token))??;
        let identity = rules.identity(token, claims, now)?;
        self.revoked.check(&identity, None, now)?;
        Ok(identity)
    }

    /// As [`Verifier::verify`], and waits for keys where some that may be the right ones are being fetched: after a rotation, or at the start.
    pub async fn verify_patiently(&self, token: &str, now: Millis) -> Result<Identity, TokenError> {
        match (self.verify(token, now), &self.jwks) {
            (Err(TokenError::UnknownKey | TokenError::KeysAway), Some(jwks)) => {
                let _ = tokio::time::timeout(PATIENCE, jwks.fetched_soon()).await;
            }
            (Err(TokenError::RevocationsAway), _) => self.revoked.until_read(PATIENCE).await,
            (outcome, _) => return outcome,
        }
        self.verify(token, now)
    }

    /// Whether a token may be used in this room.
    pub fn admit(&self, identity: &Identity, room: &RoomId, now: Millis) -> Result<(), TokenError> {
        if !identity.rooms.allow(room) {
            return Err(TokenError::Room);
        }
        self.revoked.check(identity, Some(room), now)
    }

    /// What is revoked.
    pub fn revoked(&self) -> &Revoked {
        &self.revoked
    }

    /// Until when a revocation has to be remembered: until no token that was issued by now can be valid.
    pub fn latest_end(&self, now: Millis) -> Millis {
        self.rules().latest_end(now)
    }

    /// Has something done with the key that a token means.
    pub(super) fn with_key<T>(
        &self,
        rules: &Rules,
        head: &Head,
        then: impl FnOnce(&Key) -> T,
    ) -> Result<T, TokenError> {
        let fetched = self.jwks.as_ref().map(Jwks::keys).unwrap_or_default();
        rules.keys.meant(&fetched, head).map(then).map_err(|error| self.without_key(error))
    }

    /// A key that is not known may be a new one.
    fn without_key(&self, error: TokenError) -> TokenError {
        match (error, &self.jwks) {
            (TokenError::UnknownKey | TokenError::KeyNotNamed, Some(jwks)) => {
                jwks.ask();
                if jwks.is_known() { error } else { TokenError::KeysAway }
            }
            _ => error,
        }
    }

    pub(super) fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.rules.read().unwrap_or_else(PoisonError::into_inner))
    }
}
