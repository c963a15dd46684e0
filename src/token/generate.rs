//! New keys.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::{
    rand::{SecureRandom as _, SystemRandom},
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _},
};

use super::Algorithm;

/// What stands before the point in the DER of a public key: the algorithm, and the curve.
const P256: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
const ED25519: &[u8] = &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A new key: what signs, and what verifies where that is something else. Both are PEM, or a secret in hex.
pub struct NewKey {
    pub private: String,
    pub public: Option<String>,
}

/// Why there is no new key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoNewKey {
    /// RSA keys are made elsewhere.
    #[error("keys for RS256 are not made here; openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 makes one")]
    Rsa,
    /// The system has no randomness.
    #[error("the system gives no random bytes")]
    Random,
}

impl NewKey {
    /// Makes a key.
    pub fn make(algorithm: Algorithm) -> Result<Self, NoNewKey> {
        let random = SystemRandom::new();
        let failed = |_| NoNewKey::Random;
        match algorithm {
            Algorithm::Hs256 => {
                let mut secret = [0_u8; 32];
                random.fill(&mut secret).map_err(failed)?;
                let hex = secret.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
                Ok(Self { private: hex + "\n", public: None })
            }
            Algorithm::Es256 => {
                let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).map_err(failed)?;
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.as_ref(), &random)
                    .map_err(|_| NoNewKey::Random)?;
                Ok(Self::pair(der.as_ref(), P256, pair.public_key().as_ref()))
            }
            Algorithm::EdDsa => {
                let der = Ed25519KeyPair::generate_pkcs8(&random).map_err(failed)?;
                let pair = Ed25519KeyPair::from_pkcs8(der.as_ref()).map_err(|_| NoNewKey::Random)?;
                Ok(Self::pair(der.as_ref(), ED25519, pair.public_key().as_ref()))
            }
            Algorithm::Rs256 => Err(NoNewKey::Rsa),
        }
    }

    fn pair(private: &[u8], prefix: &[u8], point: &[u8]) -> Self {
        let public = pem("PUBLIC KEY", &[prefix, point].concat());
        Self { private: pem("PRIVATE KEY", private), public: Some(public) }
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut lines = String::new();
    for line in text.as_bytes().chunks(64) {
        lines.push_str(&String::from_utf8_lossy(line));
        lines.push('\n');
    }
    format!("-----BEGIN {label}-----\n{lines}-----END {label}-----\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::{Key, SigningKey};

    #[test]
    fn what_is_made_signs_and_verifies() {
        for algorithm in [Algorithm::Es256, Algorithm::EdDsa] {
            let NewKey { private, public } = NewKey::make(algorithm).unwrap();
            let token = SigningKey::private(None, &private).unwrap().sign(&serde_json::json!({"sub": "ana"})).unwrap();
            let key = Key::public(None, &public.unwrap()).unwrap();
            assert_eq!(key.algorithm(), algorithm);
            key.open(&token).unwrap();
            let other = Key::public(None, &NewKey::make(algorithm).unwrap().public.unwrap()).unwrap();
            other.open(&token).unwrap_err();
        }
        let secret = NewKey::make(Algorithm::Hs256).unwrap().private;
        assert_eq!(secret.trim_end().len(), 64);
        assert_ne!(secret, NewKey::make(Algorithm::Hs256).unwrap().private);
        assert_eq!(NewKey::make(Algorithm::Rs256).err(), Some(NoNewKey::Rsa));
    }
}
