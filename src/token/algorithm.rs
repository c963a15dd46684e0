use jsonwebtoken::Algorithm as Library;

/// How tokens are signed. A key has one algorithm, and takes no token of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// HMAC with SHA-256: whoever can verify can sign, too.
    Hs256,
    /// RSA (PKCS #1, 1.5) with SHA-256.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Hs256, Self::Rs256, Self::Es256, Self::EdDsa];

    /// Its name in the header of a token.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The algorithm of this name, in any case: settings are typed by people.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
    }

    pub(super) fn library(self) -> Library {
        match self {
            Self::Hs256 => Library::HS256,
            Self::Rs256 => Library::RS256,
            Self::Es256 => Library::ES256,
            Self::EdDsa => Library::EdDSA,
        }
    }
}
