use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    InconsistentKeys,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    sign::CertifiedKey,
};
use sha2::{Digest as _, Sha256};
use x509_cert::{Certificate, der::Decode as _};

use super::PairError;
use crate::config::TlsConfig;

/// The size of the largest file, in bytes.
const MOST_BYTES: u64 = 1024 * 1024;

/// Where a certificate and its key are.
#[derive(Debug, Clone)]
pub struct PairFiles {
    certificate: PathBuf,
    key: PathBuf,
}

/// What both files hold.
pub(super) struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// Tells contents apart; it is no secret.
pub(super) type Fingerprint = [u8; 32];

/// A certificate and its key, ready for handshakes.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) key: Arc<CertifiedKey>,
    /// When the certificate expires, in seconds since 1970.
    pub(super) expires: u64,
}

impl PairFiles {
    /// The files of the settings; `None` if this node has no TLS.
    pub fn of(config: &TlsConfig) -> Option<Self> {
        let (certificate, key) = config.tls_cert_file.clone().zip(config.tls_key_file.clone())?;
        Some(Self { certificate, key })
    }

    pub(super) fn certificate_name(&self) -> String {
        format!("TLS_CERT_FILE {}", self.certificate.display())
    }

    fn key_name(&self) -> String {
        format!("TLS_KEY_FILE {}", self.key.display())
    }

    /// Reads both files, which may be links to links.
    pub(super) fn read(&self) -> Result<Contents, PairError> {
        let certificate = read(&self.certificate, || self.certificate_name())?;
        Ok(Contents { certificate, key: read(&self.key, || self.key_name())? })
    }
}

fn read(path: &Path, name: impl Fn() -> String) -> Result<Vec<u8>, PairError> {
    let mut bytes = Vec::new();
    let limited = |file: File| file.take(MOST_BYTES + 1).read_to_end(&mut bytes);
    File::open(path).and_then(limited).map_err(|source: io::Error| PairError::Unreadable { file: name(), source })?;
    if bytes.len() as u64 > MOST_BYTES { Err(PairError::TooLarge { file: name() }) } else { Ok(bytes) }
}

impl Contents {
    pub(super) fn fingerprint(&self) -> Fingerprint {
        let mut hash = Sha256::new();
        hash.update((self.certificate.len() as u64).to_be_bytes());
        hash.update(&self.certificate);
        hash.update(&self.key);
        hash.finalize().into()
    }

    /// Parses both, and checks that they belong together.
    pub(super) fn parse(&self, files: &PairFiles) -> Result<Pair, PairError> {
        let file = files.certificate_name();
        let mut chain = Vec::new();
        for certificate in CertificateDer::pem_slice_iter(&self.certificate) {
            chain.push(certificate.map_err(|source| PairError::Pem { file: file.clone(), source })?);
        }
        let Some(first) = chain.first() else { return Err(PairError::NoCertificate { file }) };
        let leaf = match Certificate::from_der(first) {
            Ok(leaf) => leaf,
            Err(source) => return Err(PairError::Certificate { file, source }),
        };
        let expires = leaf.tbs_certificate.validity.not_after.to_unix_duration().as_secs();
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|source| match source {
            rustls::pki_types::pem::Error::NoItemsFound => PairError::NoKey { file: files.key_name() },
            source => PairError::Pem { file: files.key_name(), source },
        })?;
        let key = match CertifiedKey::from_der(chain, key, &ring::default_provider()) {
            Ok(key) => key,
            Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
                return Err(PairError::Mismatch { file, key: files.key_name() });
            }
            Err(source) => return Err(PairError::Key { file: files.key_name(), source }),
        };
        Ok(Pair { key: Arc::new(key), expires })
    }
}
