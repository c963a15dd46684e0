use std::io;

/// Why a certificate and its key cannot be used. Each names the setting and its file.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each is its own message")]
pub enum PairError {
    #[error("{file} cannot be read: {source}")]
    Unreadable { file: String, source: io::Error },
    #[error("{file} is larger than a megabyte")]
    TooLarge { file: String },
    #[error("{file} is not PEM: {source}")]
    Pem { file: String, source: rustls::pki_types::pem::Error },
    #[error("{file} has no certificate (PEM: BEGIN CERTIFICATE)")]
    NoCertificate { file: String },
    #[error("{file} has no key that can be used (PEM: BEGIN PRIVATE KEY; one with a password cannot)")]
    NoKey { file: String },
    #[error("{file} has a certificate that cannot be understood: {source}")]
    Certificate { file: String, source: x509_cert::der::Error },
    #[error("{file} has a key that cannot be used: {source}")]
    Key { file: String, source: rustls::Error },
    #[error("{file} is not the certificate of the key in {key}")]
    Mismatch { file: String, key: String },
    #[error("{file} has expired")]
    Expired { file: String },
    #[error("TLS: {0}")]
    Library(#[from] rustls::Error),
}
