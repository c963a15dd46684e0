use std::{collections::HashSet, fmt};

use jsonwebtoken::{
    DecodingKey, Validation,
    errors::{Error, ErrorKind},
};

use super::{Algorithm, TokenError, claims::Claims, field::Object, pem, provider};

/// The minimum length of a secret for HS256 in bytes: that of its hash (RFC 7518, 3.2).
pub(super) const LEAST_SECRET: usize = 32;

/// A key that verifies tokens of one algorithm. What a token says of its algorithm never picks another one.
#[derive(Clone)]
pub struct Key {
    kid: Option<Box<str>>,
    algorithm: Algorithm,
    verifies: DecodingKey,
    validation: Validation,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?}, {})", self.kid, self.algorithm.name())
    }
}

impl Key {
    /// A secret for HS256, of at least 32 bytes.
    pub fn secret(kid: Option<&str>, secret: &[u8]) -> Result<Self, &'static str> {
        if secret.starts_with(pem::MARK.as_bytes()) {
            return Err("is a PEM; a public key is no secret, so it cannot be one for HS256");
        }
        let key = DecodingKey::from_secret(secret).map_err(|_| "is empty")?;
        Self::new(kid, Algorithm::Hs256, key)
    }

    /// A public key in PEM.
    pub fn public(kid: Option<&str>, pem: &str) -> Result<Self, &'static str> {
        let (algorithm, key) = pem::public_key(pem)?;
        Self::new(kid, algorithm, key)
    }

    pub(super) fn new(kid: Option<&str>, algorithm: Algorithm, key: DecodingKey) -> Result<Self, &'static str> {
        provider::install();
        pem::check(algorithm, &key)?;
        let mut validation = Validation::new(algorithm.library());
        // What claims say is judged by `Rules`, with the cluster's time.
        validation.required_spec_claims = HashSet::new();
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        Ok(Self { kid: kid.map(Box::from), algorithm, verifies: key, validation })
    }

    /// Its name, which tokens repeat in their header.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// What it verifies.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The claims of a token that this key has signed.
    pub(super) fn open(&self, token: &str) -> Result<Claims, TokenError> {
        match jsonwebtoken::decode::<Object<Claims>>(token, &self.verifies, &self.validation) {
            Ok(opened) => Ok(opened.claims.0),
            // The library cannot read the claim either, and does not say which one it is.
            Err(error) if matches!(error.kind(), ErrorKind::Json(_)) => {
                Err(Claims::wrong_in(token).map_or_else(|| refusal(&error), TokenError::Claim))
            }
            Err(error) => Err(refusal(&error)),
        }
    }
}

fn refusal(error: &Error) -> TokenError {
    match error.kind() {
        ErrorKind::InvalidAlgorithm | ErrorKind::MissingAlgorithm => TokenError::Algorithm,
        ErrorKind::Base64(_) => TokenError::Malformed("a part is not in base64url"),
        ErrorKind::Json(_) | ErrorKind::Utf8(_) => {
            TokenError::Malformed("a part is no object, or names a member twice")
        }
        ErrorKind::InvalidToken => TokenError::Malformed("the header is not one that can be accepted"),
        _ => TokenError::Signature,
    }
}
