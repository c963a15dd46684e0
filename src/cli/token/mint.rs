use std::{path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context as _;
use clap::Args;
use serde_json::{Map, Value, json};

use super::ttl::ttl;
use crate::{
    cli::USAGE,
    clock::{self, Millis, millis},
    config::TokenConfig,
    id::{RoomId, UserId},
    token::{GrantedRole, Identity, Right, SigningKey, TokenError, Verifier},
};

#[derive(Debug, Args)]
pub(super) struct Mint {
    #[command(flatten)]
    token: TokenConfig,
    /// Id of the user (the claim sub)
    #[arg(long, value_parser = |id: &str| UserId::parse(id))]
    user: UserId,
    /// Name of the device, which makes the id USER#DEVICE
    #[arg(long)]
    device: Option<String>,
    /// Room that the token is for, by the letter; without it and --rooms it is for every room
    #[arg(long, value_parser = |id: &str| RoomId::parse(id))]
    room: Option<RoomId>,
    /// Rooms that the token is for, comma-separated; a star at the end of one stands for anything
    #[arg(long, value_delimiter = ',')]
    rooms: Vec<String>,
    /// GrantedRole in these rooms: host, co-host or member; the room decides if not given
    #[arg(long)]
    role: Option<GrantedRole>,
    /// What the user may do, comma-separated: join, control, broadcast, signal, moderate; whatever the role may if not given
    #[arg(long, value_delimiter = ',')]
    rights: Vec<Right>,
    /// Displayed name
    #[arg(long)]
    name: Option<String>,
    /// JSON that members of the room are shown
    #[arg(long, value_parser = json_of)]
    metadata: Option<Value>,
    /// How long the token is valid, such as 90 (seconds), 30m, 12h or 7d
    #[arg(long, default_value = "1h", value_parser = ttl)]
    ttl: Duration,
    /// Name of the token (the claim jti), by which it can be revoked; generated if not given
    #[arg(long)]
    jti: Option<String>,
    /// File with the key that signs: a private key in PEM (PKCS #8), or a secret; the secret for HS256 of AUTH_KEYS if not given
    #[arg(long)]
    key: Option<PathBuf>,
    /// Name of the key (kid); of several secrets in AUTH_KEYS, the one that signs
    #[arg(long)]
    kid: Option<String>,
}

fn json_of(text: &str) -> Result<Value, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| format!("expected JSON: {error}"))?;
    match value.to_string().len() {
        0..=Identity::MAX_METADATA_BYTES if !value.is_null() => Ok(value),
        _ => Err(format!("expected JSON of at most {} bytes, and not null", Identity::MAX_METADATA_BYTES)),
    }
}

impl Mint {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let key = match &self.key {
            Some(path) => {
                let text =
                    std::fs::read_to_string(path).with_context(|| format!("cannot read the key {}", path.display()))?;
                SigningKey::of_file(self.kid.as_deref(), &text)
                    .map_err(|why| anyhow::anyhow!("the key {} {why}", path.display()))?
            }
            None => match self.token.auth_keys.clone().unwrap_or_default().signing(self.kid.as_deref()) {
                Ok(key) => key,
                Err(error) => {
                    eprintln!("tandem: {error}");
                    return Ok(ExitCode::from(USAGE));
                }
            },
        };
        let now = clock::system();
        let token = key.sign(&Value::Object(self.claims(now)))?;
        self.warn(&token, now);
        println!("{token}");
        Ok(ExitCode::SUCCESS)
    }

    fn claims(&self, now: Millis) -> Map<String, Value> {
        let mut claims = Map::new();
        let mut put = |name: &str, value: Option<Value>| claims.extend(value.map(|value| (name.to_owned(), value)));
        let list = |values: &[String]| (!values.is_empty()).then(|| json!(values));
        put("sub", Some(json!(self.user)));
        put("device", self.device.as_ref().map(|device| json!(device)));
        put("room", self.room.as_ref().map(|room| json!(room)));
        put("rooms", list(&self.rooms));
        put("role", self.role.map(|role| json!(role.name())));
        put("rights", list(&self.rights.iter().map(|right| right.name().to_owned()).collect::<Vec<_>>()));
        put("name", self.name.as_ref().map(|name| json!(name)));
        put("metadata", self.metadata.clone());
        put("iss", self.token.auth_issuer.first().map(|issuer| json!(issuer)));
        put("aud", self.token.auth_audience.first().map(|audience| json!(audience)));
        put("iat", Some(json!(now / 1000)));
        put("exp", Some(json!((now + millis(self.ttl)) / 1000)));
        put("jti", Some(json!(self.jti.clone().unwrap_or_else(|| uuid::Uuid::new_v4().to_string()))));
        claims
    }

    /// Says if a server with these settings would refuse the token. Where keys are fetched, that is not known here.
    fn warn(&self, token: &str, now: Millis) {
        let mut settings = self.token.verifier_settings();
        if settings.keys.is_empty() {
            return;
        }
        let has_jwks = settings.jwks.take().is_some();
        match Verifier::new(&settings, Arc::default()).map(|verifier| verifier.verify(token, now)) {
            Ok(Err(TokenError::UnknownKey | TokenError::KeyNotNamed)) if has_jwks => {}
            Ok(Err(error)) => eprintln!("tandem: a server with these settings refuses it: {error}"),
            Ok(Ok(_)) | Err(_) => {}
        }
    }
}
