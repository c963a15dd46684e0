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

    /// The times of the claims. An `iat` in the future would escape a revocation of what was issued before it.
    pub(super) fn times(&self, claims: &Claims, now: Millis) -> Result<Times, TokenError> {
        let optional = |field: &super::field::Field<Seconds>, name| {
            field.clone().optional(name).map(|seconds| seconds.map(Seconds::millis))
        };
        let expires_at = claims.exp.clone().required("exp")?.millis();
        let not_before = optional(&claims.nbf, "nbf")?;
        let issued_at = optional(&claims.iat, "iat")?;
        if now >= expires_at + self.leeway {
            return Err(TokenError::Expired);
        }
        if expires_at > self.latest_end(now) {
            return Err(TokenError::Lifetime);
        }
        if not_before.is_some_and(|not_before| now + self.leeway < not_before) {
            return Err(TokenError::NotYet);
        }
        if issued_at.is_some_and(|issued_at| now + self.leeway < issued_at) {
            return Err(TokenError::Future);
        }
        Ok(Times { expires_at, issued_at })
    }

    /// Who issued it, and for whom.
    pub(super) fn parties(&self, claims: &Claims) -> Result<(), TokenError> {
        let issuer = claims.iss.clone().optional("iss")?;
        if !self.issuers.is_empty() {
            let issuer = issuer.ok_or(TokenError::Missing("iss"))?;
            if !self.issuers.contains(&issuer) {
                return Err(TokenError::Issuer);
            }
        }
        let audience = claims.aud.clone().optional("aud")?;
        match audience {
            None if self.audiences.is_empty() => Ok(()),
            None => Err(TokenError::Missing("aud")),
            Some(audience) if self.audiences.iter().any(|own| audience.contains(own)) => Ok(()),
            Some(_) => Err(TokenError::Audience),
        }
    }

    /// The holder of a token with these claims, which someone with a key has signed.
    pub(super) fn identity(&self, token: &str, claims: Claims, now: Millis) -> Result<Identity, TokenError> {
        self.parties(&claims)?;
        let Times { expires_at, issued_at } = self.times(&claims, now)?;
        let subject = claims.sub.required("sub")?;
        let subject = UserId::parse(&subject).map_err(|_| TokenError::Claim("sub"))?;
        let user = match claims.device.optional("device")? {
            None => subject.clone(),
            Some(device) if device.is_empty() => return Err(TokenError::Claim("device")),
            Some(device) => UserId::parse(&format!("{subject}#{device}")).map_err(|_| TokenError::Claim("device"))?,
        };
        let room = claims.room.optional("room")?;
        let rooms = claims.rooms.optional("rooms")?;
        Ok(Identity {
            user,
            subject,
            rooms: Rooms::of_claims(room.as_deref(), rooms.as_deref())?,
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

/// What the claims say of times.
pub(super) struct Times {
    pub(super) expires_at: Millis,
    pub(super) issued_at: Option<Millis>,
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
