use std::path::PathBuf;

use clap::{ArgAction, Args};

/// TLS on the port of the node.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "TLS")]
pub struct TlsConfig {
    /// PEM file of the node's certificate, followed by those that lead to its authority. With it the port speaks TLS, too: https:// and wss://. The files are read again when they change, and no socket is closed for that
    #[arg(long = "tls-cert-file", env = "TLS_CERT_FILE", requires = "tls_key_file")]
    pub tls_cert_file: Option<PathBuf>,
    /// PEM file of the certificate's key, without a password
    #[arg(long = "tls-key-file", env = "TLS_KEY_FILE", requires = "tls_cert_file")]
    pub tls_key_file: Option<PathBuf>,
    /// Whether connections without TLS are refused, but those from this machine itself and those to METRICS_PORT
    #[arg(
        long = "tls-only", env = "TLS_ONLY", default_value_t = false, action = ArgAction::Set,
        requires_if("true", "tls_cert_file")
    )]
    pub tls_only: bool,
}
