use std::fmt;

use jsonwebtoken::{EncodingKey, Header};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RsaKeyPair},
};
use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject as _};
use serde::Serialize;

use super::{Algorithm, key::LEAST_SECRET, pem, provider};

/// A token that could not be signed.
#[derive(Debug, thiserror::Error)]
#[error("cannot sign: {0}")]
pub struct CannotSign(#[from] jsonwebtoken::errors::Error);

/// A key that signs tokens.
#[derive(Clone)]
pub struct SigningKey {
    kid: Option<Box<str>>,
    algorithm: Algorithm,
    key: EncodingKey,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({:?}, {})", self.kid, self.algorithm.name())
    }
}

impl SigningKey {
    /// A secret for HS256, of at least 32 bytes.
    pub fn secret(kid: Option<&str>, secret: &[u8]) -> Result<Self, &'static str> {
        if secret.len() < LEAST_SECRET {
            return Err("is a secret of less than 32 bytes");
        }
        if secret.starts_with(pem::MARK.as_bytes()) {
            return Err("is a PEM, and no secret for HS256");
        }
        let key = EncodingKey::from_secret(secret).map_err(|_| "is empty")?;
        Ok(Self { kid: kid.map(Box::from), algorithm: Algorithm::Hs256, key })
    }

    /// What a file has: a private key in PEM, or else a secret.
    pub fn of_file(kid: Option<&str>, text: &str) -> Result<Self, &'static str> {
        if text.contains(pem::MARK) {
            Self::private(kid, text)
        } else {
            Self::secret(kid, text.trim_end_matches(['\n', '\r']).as_bytes())
        }
    }

    /// A private key in PEM (PKCS #8). What it is for says its algorithm.
    pub fn private(kid: Option<&str>, pem: &str) -> Result<Self, &'static str> {
        if pem.contains("BEGIN PUBLIC KEY-----") {
            return Err("is a public key, which verifies and cannot sign");
        }
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).map_err(
            |_| "has no private key in PKCS #8 (-----BEGIN PRIVATE KEY-----); openssl pkcs8 -topk8 -nocrypt makes one",
        )?;
        let der = der.secret_pkcs8_der();
        let is_ec = || EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &SystemRandom::new()).is_ok();
        let (algorithm, key) = if Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).is_ok() {
            (Algorithm::EdDsa, EncodingKey::from_ed_der(der))
        } else if is_ec() {
            (Algorithm::Es256, EncodingKey::from_ec_der(der))
        } else if RsaKeyPair::from_pkcs8(der).is_ok() {
            (Algorithm::Rs256, EncodingKey::from_rsa_der(der))
        } else {
            return Err("is no key for EdDSA (Ed25519), ES256 (P-256) or RS256 (RSA of 2048 to 4096 bits)");
        };
        Ok(Self { kid: kid.map(Box::from), algorithm, key })
    }

    /// What it signs with.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Its name, which goes into the header of each token.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Signs claims.
    pub fn sign(&self, claims: &impl Serialize) -> Result<String, CannotSign> {
        self.sign_as("JWT", claims)
    }

    pub(super) fn sign_as(&self, typ: &str, claims: &impl Serialize) -> Result<String, CannotSign> {
        provider::install();
        let mut header = Header::new(self.algorithm.library());
        header.typ = Some(typ.to_owned());
        header.kid = self.kid.as_deref().map(str::to_owned);
        Ok(jsonwebtoken::encode(&header, claims, &self.key)?)
    }
}
