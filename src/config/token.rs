use std::{path::PathBuf, sync::Arc, time::Duration};

use clap::{Args, ValueEnum};

use super::parse;
use crate::room::{Right, Rights};
use crate::token::{JwksSettings, JwksUrl, KeySpecs, Pace, Revoked, SettingsError, Verifier, VerifierSettings};

/// The longest leeway, in seconds.
const MOST_LEEWAY: u64 = 300;
/// The longest life of a token, in seconds: a year.
const MOST_LIFETIME: u64 = 366 * 24 * 3600;

/// Whether users are who a token says, and how tokens are verified.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Tokens")]
pub struct TokenConfig {
    /// Who a user is: open (who they claim to be, as the existing clients do), token (who a token says, and nobody comes in without one), or mixed (who shows a token is held to it, and the others are guests)
    #[arg(long = "auth-mode", env = "AUTH_MODE", default_value = "open")]
    pub auth_mode: AuthMode,
    /// Keys that tokens are signed with, comma-separated, each as [KID=]ALGORITHM:KEY. ALGORITHM is HS256 (KEY is a secret of at least 32 bytes), RS256, ES256 or EdDSA (KEY is a public key in PEM, with \n for a new line). @PATH in place of KEY is a file that has it
    #[arg(long = "auth-keys", env = "AUTH_KEYS", hide_env_values = true, value_parser = |text: &str| KeySpecs::parse(text))]
    pub auth_keys: Option<KeySpecs>,
    /// URL of a JWKS with more public keys, such as <https://login.example.org/.well-known/jwks.json>; http is for addresses of this machine and of private networks. It is fetched in the background, and keys that are known hold while it is away
    #[arg(long = "auth-jwks-url", env = "AUTH_JWKS_URL", value_parser = |text: &str| JwksUrl::parse(text))]
    pub auth_jwks_url: Option<JwksUrl>,
    /// PEM file of the certificate authorities for AUTH_JWKS_URL; those of the system if not given
    #[arg(long = "auth-jwks-ca-file", env = "AUTH_JWKS_CA_FILE", requires = "auth_jwks_url")]
    pub auth_jwks_ca_file: Option<PathBuf>,
    /// Issuers of tokens that are accepted (the claim iss), comma-separated; empty accepts any
    #[arg(long = "auth-issuer", env = "AUTH_ISSUER", value_delimiter = ',')]
    pub auth_issuer: Vec<String>,
    /// Names of this service in tokens (the claim aud), comma-separated; a token needs one of them. If empty, tokens that name an audience are refused, because they are meant for another service
    #[arg(long = "auth-audience", env = "AUTH_AUDIENCE", value_delimiter = ',')]
    pub auth_audience: Vec<String>,
    /// How much the clock of an issuer may differ, in seconds, up to 300
    #[arg(long = "auth-leeway-seconds", env = "AUTH_LEEWAY_SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(0..=MOST_LEEWAY))]
    pub auth_leeway: u64,
    /// How long from now a token or an invitation may be valid at most, in seconds, up to a year; it is also how long a revocation is remembered
    #[arg(long = "auth-max-lifetime-seconds", env = "AUTH_MAX_LIFETIME_SECONDS", default_value_t = 604_800, value_parser = clap::value_parser!(u64).range(1..=MOST_LIFETIME))]
    pub auth_max_lifetime: u64,
    /// Whether a token may be in the URL of a socket (?token=), for clients that can set neither a header nor a subprotocol. URLs are often written to logs, and the history of a browser keeps them
    #[arg(long = "auth-url-token", env = "AUTH_URL_TOKEN", default_value_t = false, action = clap::ArgAction::Set)]
    pub auth_url_token: bool,
    /// What guests may do, comma-separated: control, broadcast, signal, moderate, each where the role of the guest in its room allows it. For AUTH_MODE=mixed
    #[arg(long = "auth-guest-rights", env = "AUTH_GUEST_RIGHTS", value_delimiter = ',', default_value = "control,broadcast,signal,moderate", value_parser = parse::right)]
    pub auth_guest_rights: Vec<Right>,
}

/// Who a user is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AuthMode {
    /// Who they claim to be.
    Open,
    /// Who a token says.
    Token,
    /// Who a token says, if they show one.
    Mixed,
}

impl TokenConfig {
    /// How long from now a token or an invitation may be valid.
    pub fn most_lifetime(&self) -> Duration {
        Duration::from_secs(self.auth_max_lifetime)
    }

    /// How much the clock of an issuer may differ.
    pub fn leeway(&self) -> Duration {
        Duration::from_secs(self.auth_leeway)
    }

    /// What guests are granted.
    pub fn guests(&self) -> Rights {
        self.auth_guest_rights.iter().copied().chain([Right::Join]).collect()
    }

    /// How tokens are verified.
    pub fn verifier_settings(&self) -> VerifierSettings {
        let jwks = self.auth_jwks_url.as_ref().map(|url| JwksSettings {
            url: url.clone(),
            ca_file: self.auth_jwks_ca_file.clone(),
            pace: Pace::default(),
        });
        VerifierSettings {
            keys: self.auth_keys.clone().unwrap_or_default(),
            jwks,
            issuers: self.auth_issuer.clone(),
            audiences: self.auth_audience.clone(),
            leeway: self.leeway(),
            most_lifetime: self.most_lifetime(),
        }
    }

    /// What verifies tokens; nothing in open mode, where nobody looks at them.
    pub fn verifier(&self, revoked: &Arc<Revoked>) -> Result<Option<Verifier>, SettingsError> {
        if self.auth_mode == AuthMode::Open {
            return Ok(None);
        }
        if self.auth_jwks_url.is_some() && self.auth_issuer.is_empty() && self.auth_audience.is_empty() {
            tracing::warn!(
                "AUTH_JWKS_URL is set, but neither AUTH_AUDIENCE nor AUTH_ISSUER: a token without an audience is accepted from whoever its keys belong to"
            );
        }
        Verifier::new(&self.verifier_settings(), Arc::clone(revoked)).map(Some)
    }
}
