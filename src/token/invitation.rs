use rand::RngCore as _;
use serde_json::{Map, json};

use super::{
    Algorithm, CannotSign, Explanation, GrantedRole, INVITATION, Key, Rights, SigningKey, TokenError,
    claims::{Claims, Seconds},
    head::Head,
    rules::jti_of,
};
use crate::{clock::Millis, id::RoomId};

/// An invitation into a room, which this deployment has signed. Who shows it is nobody in particular.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// The room, which is entered without its PIN.
    pub room: RoomId,
    /// The role that comes with it; `None` leaves it to the room.
    pub role: Option<GrantedRole>,
    /// What limits the role.
    pub rights: Rights,
    /// How often it may be used; `None` is as often as anybody likes.
    pub uses: Option<u32>,
    /// When it expires.
    pub expires_at: Millis,
    /// When it was signed.
    pub issued_at: Millis,
    /// Its name: uses are counted under it, and it is revoked by it.
    pub id: Box<str>,
}

/// What signs invitations and verifies them: keys that are derived from the deployment's secret and used for nothing else.
#[derive(Debug, Clone)]
pub struct InvitationKeys {
    signs: SigningKey,
    now: Key,
    /// While the secret is being changed, what the other one has signed is valid too.
    before: Option<Key>,
    /// How long from now one may be valid, in ms: a revocation is remembered for as long.
    most_lifetime: Millis,
}

/// An invitation that is to be signed.
#[derive(Debug, Clone)]
pub struct NewInvitation {
    pub room: RoomId,
    pub role: Option<GrantedRole>,
    pub rights: Option<Rights>,
    pub uses: Option<u32>,
    pub expires_at: Millis,
}

impl InvitationKeys {
    /// Keys of 32 bytes, for invitations that are valid for at most so many ms.
    pub fn new(now: &[u8; 32], before: Option<&[u8; 32]>, most_lifetime: Millis) -> Result<Self, &'static str> {
        let before = before.map(|before| Key::secret(None, before)).transpose()?;
        Ok(Self { signs: SigningKey::secret(None, now)?, now: Key::secret(None, now)?, before, most_lifetime })
    }

    /// Signs an invitation, with a name of its own.
    pub fn sign(&self, new: &NewInvitation, now: Millis) -> Result<String, CannotSign> {
        let mut id = [0_u8; 12];
        rand::rng().fill_bytes(&mut id);
        let id = id.iter().fold(String::new(), |id, byte| id + &format!("{byte:02x}"));
        let mut claims = Map::new();
        claims.insert("room".to_owned(), json!(new.room));
        claims.extend(new.role.map(|role| ("role".to_owned(), json!(role.name()))));
        let names = |rights: Rights| json!(rights.iter().map(super::Right::name).collect::<Vec<_>>());
        claims.extend(new.rights.map(|rights| ("rights".to_owned(), names(rights))));
        claims.extend(new.uses.map(|uses| ("uses".to_owned(), json!(uses))));
        claims.insert("exp".to_owned(), json!(new.expires_at / 1000));
        claims.insert("iat".to_owned(), json!(now / 1000));
        claims.insert("jti".to_owned(), json!(id));
        self.signs.sign_as(INVITATION, &claims)
    }

    /// What an invitation says. There is no leeway: the clock is the same that it was signed by.
    pub fn verify(&self, text: &str, now: Millis) -> Result<Invitation, TokenError> {
        check_head(text)?;
        self.invitation(self.open(text)?, now)
    }

    /// Makes the checks of [`InvitationKeys::verify`] one by one, for people.
    pub fn explain(&self, text: &str, now: Millis) -> Explanation {
        let mut told = Explanation::of_parts(text);
        told.checks.push(("header", check_head(text)));
        let opened = self.open(text);
        told.checks.push(("signature", opened.as_ref().map(drop).map_err(|error| *error)));
        if let Some(claims) = opened.ok().or_else(|| Claims::unverified(text)) {
            told.checks.push(("claims", self.invitation(claims, now).map(drop)));
        }
        told
    }

    fn invitation(&self, claims: Claims, now: Millis) -> Result<Invitation, TokenError> {
        let invitation = invitation(claims, now)?;
        if invitation.expires_at > now.saturating_add(self.most_lifetime) {
            return Err(TokenError::Lifetime);
        }
        Ok(invitation)
    }

    fn open(&self, text: &str) -> Result<Claims, TokenError> {
        match (self.now.open(text), &self.before) {
            (Err(TokenError::Signature), Some(before)) => before.open(text),
            (outcome, _) => outcome,
        }
    }
}

fn check_head(text: &str) -> Result<(), TokenError> {
    let head = Head::read(text)?;
    match (head.typ.as_deref(), head.algorithm) {
        (Some(INVITATION), Algorithm::Hs256) => Ok(()),
        (Some(INVITATION), _) => Err(TokenError::Algorithm),
        _ => Err(TokenError::Kind),
    }
}

fn invitation(claims: Claims, now: Millis) -> Result<Invitation, TokenError> {
    let expires_at = claims.exp.required("exp").map(Seconds::millis)?;
    if now >= expires_at {
        return Err(TokenError::Expired);
    }
    let room = RoomId::parse(&claims.room.required("room")?).map_err(|_| TokenError::Claim("room"))?;
    let uses = claims.uses.optional("uses")?;
    if uses == Some(0) {
        return Err(TokenError::Claim("uses"));
    }
    Ok(Invitation {
        room,
        role: claims.role.optional("role")?,
        rights: claims.rights.optional("rights")?.unwrap_or(Rights::ALL),
        uses,
        expires_at,
        issued_at: claims.iat.required("iat").map(Seconds::millis)?,
        id: jti_of(&claims.jti.required("jti")?)?,
    })
}
