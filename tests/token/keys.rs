//! Keys of each algorithm, made once, and tokens with any header.

use std::{
    process::Command,
    sync::{Arc, OnceLock},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    hmac,
    signature::{RsaKeyPair, RsaPublicKeyComponents},
};
use rustls::pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer, pem::PemObject as _};
use serde_json::{Value, json};
use tandem::token::{Algorithm, Identity, KeySpecs, SigningKey, TokenError, Verifier, VerifierSettings};

/// The time of these tests, in milliseconds and in seconds.
pub const NOW: u64 = 1_800_000_000_000;
pub const NOW_S: u64 = NOW / 1000;
pub const SECRET: &str = "a-secret-of-more-than-thirty-two-bytes";

/// A private key and its public half, in PEM.
pub struct Pair {
    pub private: String,
    pub public: String,
}

fn make(words: &[&str]) -> Pair {
    let openssl = |words: &[&str], input: &str| {
        use std::io::Write as _;
        let mut child = Command::new("openssl")
            .args(words)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "openssl {words:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let private = openssl(words, "");
    let public = openssl(&["pkey", "-pubout"], &private);
    Pair { private, public }
}

/// The key of a public algorithm.
pub fn pair(algorithm: Algorithm) -> &'static Pair {
    static PAIRS: [OnceLock<Pair>; 3] = [OnceLock::new(), OnceLock::new(), OnceLock::new()];
    let (place, words): (usize, &[&str]) = match algorithm {
        Algorithm::Rs256 => (0, &["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]),
        Algorithm::Es256 => (1, &["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]),
        Algorithm::EdDsa => (2, &["genpkey", "-algorithm", "ED25519"]),
        Algorithm::Hs256 => panic!("a secret is no pair"),
    };
    PAIRS[place].get_or_init(|| make(words))
}

/// The key that signs, with a name.
pub fn signing(algorithm: Algorithm, kid: Option<&str>) -> SigningKey {
    match algorithm {
        Algorithm::Hs256 => SigningKey::secret(kid, SECRET.as_bytes()).unwrap(),
        _ => SigningKey::private(kid, &pair(algorithm).private).unwrap(),
    }
}

/// `AUTH_KEYS` with one key.
pub fn spec(algorithm: Algorithm, kid: Option<&str>) -> String {
    let kid = kid.map_or_else(String::new, |kid| format!("{kid}="));
    let key = if algorithm == Algorithm::Hs256 { SECRET } else { &pair(algorithm).public };
    format!("{kid}{}:{key}", algorithm.name())
}

/// A key as a JWK.
pub fn jwk(algorithm: Algorithm, kid: &str) -> Value {
    let b64 = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    if algorithm == Algorithm::Hs256 {
        return json!({"kty": "oct", "kid": kid, "k": b64(SECRET.as_bytes())});
    }
    let Pair { private, public } = pair(algorithm);
    let spki = SubjectPublicKeyInfoDer::from_pem_slice(public.as_bytes()).unwrap();
    let tail = |bytes: usize| &spki[spki.len() - bytes..];
    match algorithm {
        Algorithm::Es256 => {
            json!({"kty": "EC", "crv": "P-256", "kid": kid, "x": b64(&tail(64)[..32]), "y": b64(tail(32))})
        }
        Algorithm::EdDsa => json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": b64(tail(32))}),
        Algorithm::Rs256 => {
            let der = PrivatePkcs8KeyDer::from_pem_slice(private.as_bytes()).unwrap();
            let key = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).unwrap();
            let RsaPublicKeyComponents::<Vec<u8>> { n, e } = key.public().into();
            json!({"kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid, "n": b64(&n), "e": b64(&e)})
        }
        Algorithm::Hs256 => Value::Null,
    }
}

pub fn settings(keys: &str) -> VerifierSettings {
    VerifierSettings {
        keys: KeySpecs::parse(keys).unwrap(),
        jwks: None,
        issuers: Vec::new(),
        audiences: Vec::new(),
        leeway: Duration::from_mins(1),
        most_lifetime: Duration::from_hours(168),
    }
}

pub fn verifier(keys: &str) -> Verifier {
    Verifier::new(&settings(keys), Arc::default()).unwrap()
}

/// Claims that are accepted, with these changes; a change to `null` leaves one out.
pub fn claims(changes: Value) -> Value {
    let mut claims = json!({"sub": "ana", "iat": NOW_S, "exp": NOW_S + 3600});
    let Value::Object(changes) = changes else { panic!("not an object") };
    for (name, value) in changes {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(&name);
        } else {
            claims[name] = value;
        }
    }
    claims
}

/// A token under the secret, with any header and any claims, by the letter.
pub fn forge(header: &str, claims: &str, secret: &[u8]) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// What a verifier with the secret says of claims.
pub fn said(changes: Value) -> Result<Identity, TokenError> {
    let token = signing(Algorithm::Hs256, None).sign(&claims(changes)).unwrap();
    verifier(&spec(Algorithm::Hs256, None)).verify(&token, NOW)
}
