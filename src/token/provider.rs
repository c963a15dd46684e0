//! What jsonwebtoken verifies and signs with: ring, as everything else in the process. It has back ends of its own, but none over ring.

use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, EncodingKey,
    crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils},
    errors::{Error, ErrorKind},
    signature::{Error as SignatureError, Signer, Verifier},
};
use ring::{
    hmac,
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair,
        RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, RsaPublicKeyComponents, UnparsedPublicKey,
        VerificationAlgorithm,
    },
};

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: signer,
    verifier_factory: verifier,
    // For making JWKs of keys, which nothing here does.
    key_utils: KeyUtils::new_unimplemented(),
};

/// Everything that verifies or signs calls this first. Only the first call does anything, and nothing else in the process has a provider.
pub(super) fn install() {
    let _ = PROVIDER.install_default();
}

enum Verifies {
    Hmac(hmac::Key),
    Public(&'static dyn VerificationAlgorithm, Vec<u8>),
    Rsa(RsaPublicKeyComponents<Vec<u8>>),
}

struct Verification {
    algorithm: Algorithm,
    key: Verifies,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature that the library asks for")]
fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>, Error> {
    if algorithm.family() != key.family() {
        return Err(ErrorKind::InvalidAlgorithm.into());
    }
    let verifies = match (*algorithm, key.kind()) {
        (Algorithm::HS256, DecodingKeyKind::SecretOrDer(secret)) => {
            Verifies::Hmac(hmac::Key::new(hmac::HMAC_SHA256, secret))
        }
        (Algorithm::ES256, DecodingKeyKind::SecretOrDer(point)) => {
            Verifies::Public(&ECDSA_P256_SHA256_FIXED, point.clone())
        }
        (Algorithm::EdDSA, DecodingKeyKind::SecretOrDer(point)) => Verifies::Public(&ED25519, point.clone()),
        (Algorithm::RS256, DecodingKeyKind::SecretOrDer(der)) => {
            Verifies::Public(&RSA_PKCS1_2048_8192_SHA256, der.clone())
        }
        (Algorithm::RS256, DecodingKeyKind::RsaModulusExponent { n, e }) => {
            Verifies::Rsa(RsaPublicKeyComponents { n: n.clone(), e: e.clone() })
        }
        _ => return Err(ErrorKind::InvalidAlgorithm.into()),
    };
    Ok(Box::new(Verification { algorithm: *algorithm, key: verifies }))
}

impl Verifier<Vec<u8>> for Verification {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), SignatureError> {
        let outcome = match &self.key {
            Verifies::Hmac(key) => hmac::verify(key, message, signature),
            Verifies::Public(algorithm, key) => UnparsedPublicKey::new(*algorithm, key).verify(message, signature),
            Verifies::Rsa(key) => key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature),
        };
        outcome.map_err(|_| SignatureError::new())
    }
}

impl JwtVerifier for Verification {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

enum Signs {
    Hmac(hmac::Key),
    Ecdsa(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

struct Signing {
    algorithm: Algorithm,
    key: Signs,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature that the library asks for")]
fn signer(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>, Error> {
    let bytes = key.as_bytes();
    let signs = match (*algorithm, key.family()) {
        (Algorithm::HS256, AlgorithmFamily::Hmac) => Signs::Hmac(hmac::Key::new(hmac::HMAC_SHA256, bytes)),
        (Algorithm::ES256, AlgorithmFamily::Ec) => Signs::Ecdsa(
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, bytes, &SystemRandom::new())
                .map_err(|_| ErrorKind::InvalidEcdsaKey)?,
        ),
        // openssl leaves out the public half.
        (Algorithm::EdDSA, AlgorithmFamily::Ed) => {
            Signs::Ed(Ed25519KeyPair::from_pkcs8_maybe_unchecked(bytes).map_err(|_| ErrorKind::InvalidEddsaKey)?)
        }
        (Algorithm::RS256, AlgorithmFamily::Rsa) => {
            Signs::Rsa(RsaKeyPair::from_pkcs8(bytes).map_err(|why| ErrorKind::InvalidRsaKey(why.to_string()))?)
        }
        _ => return Err(ErrorKind::InvalidAlgorithm.into()),
    };
    Ok(Box::new(Signing { algorithm: *algorithm, key: signs }))
}

impl Signer<Vec<u8>> for Signing {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, SignatureError> {
        match &self.key {
            Signs::Hmac(key) => Ok(hmac::sign(key, message).as_ref().to_vec()),
            Signs::Ecdsa(key) => key
                .sign(&SystemRandom::new(), message)
                .map(|signature| signature.as_ref().to_vec())
                .map_err(|_| SignatureError::new()),
            Signs::Ed(key) => Ok(key.sign(message).as_ref().to_vec()),
            Signs::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
                    .map(|()| signature)
                    .map_err(|_| SignatureError::new())
            }
        }
    }
}

impl JwtSigner for Signing {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}
