//! `AUTH_KEYS`: keys as `[KID=]ALGORITHM:KEY`, comma-separated. Errors name the key, and never show it.

use std::{fmt, path::PathBuf};

use sha2::{Digest as _, Sha256};

use super::{Algorithm, Key, KeySet, SigningKey};

/// The maximum number of keys.
const MOST_KEYS: usize = 32;
/// The maximum length of the name of a key, in bytes.
pub(super) const MOST_KID_BYTES: usize = 128;
/// The maximum length of a file with a key, in bytes.
const MOST_FILE_BYTES: u64 = 16 * 1024;
/// What begins the path of a file.
const FILE: char = '@';

/// A key that a setting describes.
#[derive(Clone, PartialEq, Eq)]
pub struct KeySpec {
    kid: Option<Box<str>>,
    algorithm: Algorithm,
    source: Source,
}

#[derive(Clone, PartialEq, Eq)]
enum Source {
    Text(Box<str>),
    File(PathBuf),
}

impl fmt::Debug for KeySpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeySpec({:?}, {})", self.kid, self.algorithm.name())
    }
}

/// The keys of a setting: a type of its own because a `Vec` would mean a repeated flag.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeySpecs(pub Vec<KeySpec>);

/// A key of a setting that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// One of them is wrong.
    #[error("key {number}{name} {why}")]
    One { number: usize, name: String, why: String },
    /// Two could be meant by one token.
    #[error("{0}")]
    Ambiguous(#[from] super::Ambiguous),
    /// There are too many.
    #[error("expected at most {MOST_KEYS} keys")]
    TooMany,
}

/// No key of the settings can sign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CannotMint {
    /// There is none for HS256.
    #[error("AUTH_KEYS has no secret for HS256, and public keys cannot sign: give the private key (--key)")]
    NoSecret,
    /// There are several.
    #[error("AUTH_KEYS has several secrets for HS256: say which one by its kid (--kid)")]
    Several,
    /// There is none of this name.
    #[error("AUTH_KEYS has no secret for HS256 with the kid {0:?}")]
    NotNamed(Box<str>),
    /// It cannot be read.
    #[error("AUTH_KEYS: {0}")]
    Bad(String),
}

impl KeySpecs {
    /// The secret of the settings that signs: that of this name, or the only one.
    pub fn signing(&self, kid: Option<&str>) -> Result<SigningKey, CannotMint> {
        let fits = |spec: &&KeySpec| {
            spec.algorithm == Algorithm::Hs256 && kid.is_none_or(|kid| spec.kid.as_deref() == Some(kid))
        };
        let mut found = self.0.iter().filter(fits);
        let spec = match (found.next(), found.next(), kid) {
            (Some(spec), None, _) => spec,
            (Some(_), Some(_), _) => return Err(CannotMint::Several),
            (None, _, Some(kid)) => return Err(CannotMint::NotNamed(kid.into())),
            (None, ..) => return Err(CannotMint::NoSecret),
        };
        let (secret, _) = spec.text().map_err(CannotMint::Bad)?;
        SigningKey::secret(spec.kid.as_deref(), as_secret(&secret)).map_err(|why| CannotMint::Bad(why.to_owned()))
    }

    /// Reads the setting. Keys that are written in it are checked here; files are read by [`KeySpecs::load`].
    pub fn parse(text: &str) -> Result<Self, BadKey> {
        let mut specs = Vec::new();
        for (number, entry) in (1..).zip(text.split(',').filter(|entry| !entry.trim().is_empty())) {
            let spec = KeySpec::parse(entry).map_err(|why| BadKey::One {
                number,
                name: String::new(),
                why: why.to_owned(),
            })?;
            if matches!(spec.source, Source::Text(_)) {
                spec.load().map_err(|why| spec.bad(number, why))?;
            }
            specs.push(spec);
        }
        if specs.len() > MOST_KEYS {
            return Err(BadKey::TooMany);
        }
        KeySet::check_names(specs.iter().map(|spec| (spec.kid.as_deref(), spec.algorithm)))?;
        Ok(Self(specs))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A hash of the keys, with what files contain now.
    pub(super) fn fingerprint(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for spec in &self.0 {
            let (kid, text) =
                (spec.kid.as_deref().unwrap_or_default(), spec.text().map_or_else(|_| String::new(), |it| it.0));
            for part in [kid, spec.algorithm.name(), &text] {
                hash.update((part.len() as u64).to_be_bytes());
                hash.update(part);
            }
        }
        hash.finalize().into()
    }

    /// The keys, with what files contain now.
    pub fn load(&self) -> Result<KeySet, BadKey> {
        let mut keys = Vec::new();
        for (number, spec) in (1..).zip(&self.0) {
            keys.push(spec.load().map_err(|why| spec.bad(number, why))?);
        }
        Ok(KeySet::new(keys)?)
    }
}

impl KeySpec {
    fn parse(entry: &str) -> Result<Self, &'static str> {
        const SHAPE: &str =
            "is not of the form [KID=]ALGORITHM:KEY (a KEY that has a comma goes into a file, as @PATH)";
        let (head, key) = entry.trim().split_once(':').ok_or(SHAPE)?;
        let (kid, algorithm) = match head.rsplit_once('=') {
            Some((kid, algorithm)) => (Some(kid.trim()), algorithm),
            None => (None, head),
        };
        let algorithm = Algorithm::named(algorithm.trim())
            .ok_or("names no algorithm before its colon: expected HS256, RS256, ES256 or EdDSA")?;
        if kid.is_some_and(|kid| kid.is_empty() || kid.len() > MOST_KID_BYTES || kid.chars().any(char::is_control)) {
            return Err("has a kid that is empty, too long, or has a control character");
        }
        let source = match key.strip_prefix(FILE) {
            Some("") => return Err("has no path after the @"),
            Some(path) => Source::File(path.into()),
            None => Source::Text(key.into()),
        };
        Ok(Self { kid: kid.map(Box::from), algorithm, source })
    }

    fn bad(&self, number: usize, why: String) -> BadKey {
        let name = self.kid.as_ref().map_or_else(String::new, |kid| format!(" ({kid:?})"));
        BadKey::One { number, name, why }
    }

    /// What the setting or the file contains, and how an error calls it.
    fn text(&self) -> Result<(String, String), String> {
        Ok(match &self.source {
            // A variable that should be on one line has `\n` for a new one.
            Source::Text(text) if text.starts_with(super::pem::MARK) => (text.replace("\\n", "\n"), String::new()),
            Source::Text(text) => (text.to_string(), String::new()),
            Source::File(path) => {
                let place = format!(", the file {}, ", path.display());
                let text =
                    read(path).map_err(|why| format!("cannot be read from the file {}: {why}", path.display()))?;
                (text, place)
            }
        })
    }

    fn load(&self) -> Result<Key, String> {
        let (text, place) = self.text()?;
        let kid = self.kid.as_deref();
        let key = match self.algorithm {
            Algorithm::Hs256 => Key::secret(kid, as_secret(&text)).map_err(|why| format!("{place}{why}")),
            _ => Key::public(kid, &text).map_err(|why| format!("{place}{why}")),
        }?;
        if key.algorithm() != self.algorithm {
            let (is, says) = (key.algorithm().name(), self.algorithm.name());
            return Err(format!("{place}is for {is}, but the setting says {says}"));
        }
        Ok(key)
    }
}

/// The newline at the end of a file is no part of a secret.
fn as_secret(text: &str) -> &[u8] {
    text.trim_end_matches(['\n', '\r']).as_bytes()
}

fn read(path: &std::path::Path) -> Result<String, String> {
    let size = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if size > MOST_FILE_BYTES {
        return Err(format!("it is larger than {MOST_FILE_BYTES} bytes"));
    }
    std::fs::read_to_string(path).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "hush-hush-hush-hush-hush-hush-hush-hush";
    const EC: &str = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEVs/o5+uQbTjL3chynL4wXgUg2R9\nq9UU8I5mEovUf86QZ7kOBIjJwqnzD1omageEHWwHdBO6B+dFabmdT9POxg==\n-----END PUBLIC KEY-----\n";

    #[test]
    fn keys_are_read() {
        let text = format!("new=HS256:{SECRET},old=es256:{EC}, plain=x=hs256:{SECRET}");
        let specs = KeySpecs::parse(&text).unwrap();
        let names: Vec<_> = specs.0.iter().map(|spec| (spec.kid.as_deref().unwrap(), spec.algorithm)).collect();
        assert_eq!(names, [("new", Algorithm::Hs256), ("old", Algorithm::Es256), ("plain=x", Algorithm::Hs256)]);
        assert_eq!(specs.load().unwrap().len(), 3);
        let on_one_line = format!("es256:{}", EC.replace('\n', "\\n"));
        assert_eq!(KeySpecs::parse(&on_one_line).unwrap().load().unwrap().len(), 1);
        assert!(KeySpecs::parse("").unwrap().is_empty());
    }

    #[test]
    fn what_is_wrong_is_said_and_never_shown() {
        let private = "-----BEGIN PRIVATE KEY-----\nhush\n-----END PRIVATE KEY-----";
        for (text, said) in [
            ("hush", "key 1 is not of the form"),
            (&format!("hs256:{SECRET},hush") as &str, "key 2 is not of the form"),
            ("hush:hush", "key 1 names no algorithm"),
            ("none:hush", "key 1 names no algorithm"),
            ("a=hs256:hush", "key 1 (\"a\") is a secret of less than 32 bytes"),
            ("a=hs256:", "key 1 (\"a\") is empty"),
            ("=hs256:hush", "key 1 has a kid"),
            ("a=rs256:hush", "key 1 (\"a\") has no public key in PEM"),
            (&format!("a=rs256:{EC}"), "key 1 (\"a\") is for ES256, but the setting says RS256"),
            (&format!("a=hs256:{EC}"), "key 1 (\"a\") is a PEM"),
            (&format!("a=es256:{private}"), "key 1 (\"a\") is a private key"),
            (&format!("a=hs256:{SECRET},a=es256:{EC}"), "two keys have the kid \"a\""),
            (&format!("hs256:{SECRET},hs256:{SECRET}"), "two keys of HS256 have no kid"),
            ("hs256:@", "no path"),
        ] {
            let error = KeySpecs::parse(text).unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
            assert!(!error.contains("hush"), "{error}");
        }
        let away = KeySpecs::parse("a=hs256:@/no/such/file").unwrap().load().unwrap_err().to_string();
        assert!(away.contains("key 1 (\"a\") cannot be read from the file /no/such/file"), "{away}");
    }

    #[test]
    fn a_secret_in_a_file_ends_before_its_last_newline() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        std::fs::write(&path, "x".repeat(31) + "\n").unwrap();
        let specs = KeySpecs::parse(&format!("hs256:@{}", path.display())).unwrap();
        assert!(specs.load().unwrap_err().to_string().contains("less than 32 bytes"));
        std::fs::write(&path, "x".repeat(32) + "\n").unwrap();
        assert_eq!(specs.load().unwrap().len(), 1);
    }
}
