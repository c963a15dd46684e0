//! Public keys in PEM.

use jsonwebtoken::DecodingKey;
use rustls::pki_types::{SubjectPublicKeyInfoDer, pem::PemObject as _};
use spki::{ObjectIdentifier, SubjectPublicKeyInfoRef, der::Decode as _};

use super::Algorithm;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// What begins a PEM.
pub(super) const MARK: &str = "-----BEGIN ";
/// The DER of the key in an RSA key of 2,048 bits, and in one of 4,096: less is weak, and more takes long to verify.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=512;
/// An uncompressed point of P-256.
const POINT_BYTES: usize = 65;
/// A point of Ed25519.
const ED_BYTES: usize = 32;

/// A public key from PEM, and what it verifies.
pub(super) fn public_key(pem: &str) -> Result<(Algorithm, DecodingKey), &'static str> {
    for (label, why) in [
        ("PRIVATE KEY-----", "is a private key; whoever verifies needs the public one (openssl pkey -pubout makes it)"),
        ("BEGIN CERTIFICATE-----", "is a certificate; openssl x509 -pubkey -noout prints the public key in it"),
        ("BEGIN RSA PUBLIC KEY-----", "is in an older form; openssl rsa -RSAPublicKey_in -pubout makes the usual one"),
    ] {
        if pem.contains(label) {
            return Err(why);
        }
    }
    let der = SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes())
        .map_err(|_| "has no public key in PEM (-----BEGIN PUBLIC KEY-----)")?;
    let info = SubjectPublicKeyInfoRef::from_der(&der).map_err(|_| "is a broken PEM")?;
    let bits = info.subject_public_key.as_bytes().ok_or("is a broken PEM")?;
    let key = match (info.algorithm.oid, info.algorithm.parameters_oid()) {
        (RSA, _) => (Algorithm::Rs256, DecodingKey::from_rsa_der(bits)),
        (EC, Ok(P256)) => (Algorithm::Es256, DecodingKey::from_ec_der(bits)),
        (EC, _) => return Err("is on another curve than P-256"),
        (ED25519, _) => (Algorithm::EdDsa, DecodingKey::from_ed_der(bits)),
        _ => return Err("is for none of RS256, ES256 and EdDSA"),
    };
    check(key.0, &key.1)?;
    Ok(key)
}

/// Checks the size of a key.
pub(super) fn check(algorithm: Algorithm, key: &DecodingKey) -> Result<(), &'static str> {
    use jsonwebtoken::DecodingKeyKind::{RsaModulusExponent, SecretOrDer};
    let fits = match (algorithm, key.kind()) {
        (Algorithm::Hs256, SecretOrDer(secret)) => secret.len() >= super::key::LEAST_SECRET,
        (Algorithm::Es256, SecretOrDer(point)) => point.len() == POINT_BYTES && point.first() == Some(&4),
        (Algorithm::EdDsa, SecretOrDer(point)) => point.len() == ED_BYTES,
        (Algorithm::Rs256, SecretOrDer(der)) => modulus(der).is_some_and(|n| RSA_BYTES.contains(&n.len())),
        (Algorithm::Rs256, RsaModulusExponent { n, .. }) => RSA_BYTES.contains(&n.len()) && n.first() != Some(&0),
        _ => false,
    };
    match (fits, algorithm) {
        (true, _) => Ok(()),
        (false, Algorithm::Rs256) => Err("is no RSA key of 2048 to 4096 bits"),
        (false, Algorithm::Hs256) => Err("is a secret of less than 32 bytes"),
        (false, _) => Err("is a broken key"),
    }
}

/// The modulus in the DER of an RSA key (PKCS #1).
fn modulus(der: &[u8]) -> Option<&[u8]> {
    use spki::der::{Reader as _, SliceReader, asn1::UintRef};
    let mut reader = SliceReader::new(der).ok()?;
    let numbers = reader
        .sequence(|inside| {
            let n = UintRef::decode(inside)?;
            UintRef::decode(inside).map(|_| n)
        })
        .ok()?;
    Some(numbers.as_bytes())
}
