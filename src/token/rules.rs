use std::{sync::Arc, time::Duration};

use sha2::{Digest as _, Sha256};

use super::{
    Identity, JwksSettings, KeySet, KeySpecs, Rights, Rooms, TokenError, TokenId,
    claims::{Claims, Seconds},
};
use crate::{
    clock::{Millis, millis},
    id::UserId,
    text,
};

/// What tokens are verified with.
#[derive(Debug, Clone)]
pub struct VerifierSettings {
    /// Keys that are known from the start.
    pub keys: KeySpecs,
    /// Where more keys are.
    pub jwks: Option<JwksSettings>,
    /// Issuers that are accepted; if there are none, `iss` is not looked at.
    pub issuers: Vec<String>,
    /// Who this server is in the claim `aud`; if there is none, a token that has the claim is refused.
    pub audiences: Vec<String>,
    /// How much clocks may differ.
    pub leeway: Duration,
    /// How long from now a token may be valid at most.
    pub most_lifetime: Duration,
}

/// The keys of the settings, and what is asked of claims.
#[derive(Debug)]
pub struct Rules {
    pub(super) keys: KeySet,
    /// A hash of the keys.
    pub(super) fingerprint: [u8; 32],
    issuers: Vec<String>,
    audiences: Vec<String>,
    leeway: Millis,
    most_lifetime: Millis,
}

impl Rules {
    /// From the settings; files are read now.
    pub(super) fn new(settings: &VerifierSettings) -> Result<Self, super::BadKey> {
        Ok(Self {
            keys: settings.keys.load()?,
            fingerprint: settings.keys.fingerprint(),
            issuers: settings.issuers.clone(),
            audiences: settings.audiences.clone(),
            leeway: millis(settings.leeway),
            most_lifetime: millis(settings.most_lifetime),
        })
    }

    /// How long a token that is accepted at `now` may go on to be accepted.
    pub(super) fn latest_end(&self, now: Millis) -> Millis {
        now + self.most_lifetime + self.leeway
    }

    /// Each check of claims by itself, in the order in which they are made.
    pub(super) const CHECKS: [(&'static str, Check); 7] = [
        ("iss", |rules, claims, _| rules.issuer(claims)),
        ("aud", |rules, claims, _| rules.audience(claims)),
        ("exp", |rules, claims, now| rules.end(claims, now).map(drop)),
        ("nbf", |rules, claims, now| rules.start(claims, now)),
        ("iat", |rules, claims, now| rules.issue(claims, now).map(drop)),
        ("sub", |_, claims, _| person(claims).map(drop)),
        ("rooms", |_, claims, _| rooms(claims).map(drop)),
    ];

    fn issuer(&self, claims: &Claims) -> Result<(), TokenError> {
        let issuer = claims.iss.clone().optional("iss")?;
        if self.issuers.is_empty() {
            return Ok(());
        }
        let issuer = issuer.ok_or(TokenError::Missing("iss"))?;
        if self.issuers.contains(&issuer) { Ok(()) } else { Err(TokenError::Issuer) }
    }

    fn audience(&self, claims: &Claims) -> Result<(), TokenError> {
        match claims.aud.clone().optional("aud")? {
            None if self.audiences.is_empty() => Ok(()),
            None => Err(TokenError::Missing("aud")),
            Some(audience) if self.audiences.iter().any(|own| audience.contains(own)) => Ok(()),
            Some(_) => Err(TokenError::Audience),
        }
    }

    fn end(&self, claims: &Claims, now: Millis) -> Result<Millis, TokenError> {
        let end = claims.exp.clone().required("exp")?.millis();
        if now >= end + self.leeway {
            Err(TokenError::Expired)
        } else if end > self.latest_end(now) {
            Err(TokenError::Lifetime)
        } else {
            Ok(end)
        }
    }

    fn start(&self, claims: &Claims, now: Millis) -> Result<(), TokenError> {
        let start = claims.nbf.clone().optional("nbf")?.map(Seconds::millis);
        if start.is_some_and(|start| now + self.leeway < start) { Err(TokenError::NotYet) } else { Ok(()) }
    }

    /// An `iat` in the future would escape a revocation of what was issued before it.
    fn issue(&self, claims: &Claims, now: Millis) -> Result<Option<Millis>, TokenError> {
        let issued_at = claims.iat.clone().optional("iat")?.map(Seconds::millis);
        if issued_at.is_some_and(|issued_at| now + self.leeway < issued_at) {
            return Err(TokenError::Future);
        }
        Ok(issued_at)
    }

    /// The holder of a token with these claims, which someone with a key has signed.
    pub(super) fn identity(&self, token: &str, claims: Claims, now: Millis) -> Result<Identity, TokenError> {
        self.issuer(&claims)?;
        self.audience(&claims)?;
        let expires_at = self.end(&claims, now)?;
        self.start(&claims, now)?;
        let issued_at = self.issue(&claims, now)?;
        let (user, subject) = person(&claims)?;
        Ok(Identity {
            user,
            subject,
            rooms: rooms(&claims)?,
            role: claims.role.optional("role")?,
            rights: claims.rights.optional("rights")?.unwrap_or(Rights::ALL),
            name: claims.name.optional("name")?.and_then(|name| text::clean(&name, Identity::MAX_NAME_CHARS)),
            metadata: claims.metadata.optional("metadata")?.as_ref().map(metadata).transpose()?,
            expires_at,
            issued_at,
            jti: claims.jti.optional("jti")?.map(|jti| jti_of(&jti)).transpose()?,
            id: id_of(token),
        })
    }
}

/// A check of claims at a time.
type Check = fn(&Rules, &Claims, Millis) -> Result<(), TokenError>;

/// The user, and the person.
fn person(claims: &Claims) -> Result<(UserId, UserId), TokenError> {
    let subject = claims.sub.clone().required("sub")?;
    let subject = UserId::parse(&subject).map_err(|_| TokenError::Claim("sub"))?;
    let user = match claims.device.clone().optional("device")? {
        None => subject.clone(),
        Some(device) if device.is_empty() => return Err(TokenError::Claim("device")),
        Some(device) => UserId::parse(&format!("{subject}#{device}")).map_err(|_| TokenError::Claim("device"))?,
    };
    Ok((user, subject))
}

fn rooms(claims: &Claims) -> Result<Rooms, TokenError> {
    let room = claims.room.clone().optional("room")?;
    let rooms = claims.rooms.clone().optional("rooms")?;
    Rooms::of_claims(room.as_deref(), rooms.as_deref())
}

fn metadata(value: &serde_json::Value) -> Result<Arc<str>, TokenError> {
    let json = value.to_string();
    if value.is_null() || json.len() > Identity::MAX_METADATA_BYTES {
        return Err(TokenError::Claim("metadata"));
    }
    Ok(json.into())
}

pub(super) fn jti_of(jti: &str) -> Result<Box<str>, TokenError> {
    let fits = !jti.is_empty() && jti.len() <= Identity::MAX_JTI_BYTES && !jti.chars().any(char::is_control);
    if fits { Ok(jti.into()) } else { Err(TokenError::Claim("jti")) }
}

/// The signature is left out of the hash: that of ECDSA can be written in two ways.
pub(super) fn id_of(token: &str) -> TokenId {
    let signed = token.rsplit_once('.').map_or(token, |(signed, _)| signed);
    let hash = Sha256::digest(signed.as_bytes());
    let mut id = [0; 16];
    for (to, from) in id.iter_mut().zip(hash) {
        *to = from;
    }
    TokenId(id)
}
