use std::time::Duration;

use clap::Args;

use super::{
    ice_servers::{IceServers, ice_servers},
    parse,
};
use crate::{
    auth::turn_credential,
    clock::{Clock, millis},
    id::UserId,
    protocol::IceServer,
};

/// The STUN and TURN servers that clients are told to use.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "ICE")]
pub struct IceConfig {
    /// ICE servers as JSON, in the shape of RTCIceServer, or as a provider of TURN servers returns them: `[{"urls":["stun:stun.example.org"]}]`
    #[arg(long = "ice-servers", env = "ICE_SERVERS", value_parser = ice_servers, hide_env_values = true)]
    pub ice_servers: Option<IceServers>,
    /// URLs of STUN servers, comma-separated, such as stun:stun.example.org:3478
    #[arg(long = "stun-urls", env = "STUN_URLS", value_delimiter = ',', value_parser = parse::stun)]
    pub stun_urls: Vec<String>,
    /// URLs of TURN servers, comma-separated, such as turn:turn.example.org:3478?transport=udp
    #[arg(long = "turn-urls", env = "TURN_URLS", value_delimiter = ',', value_parser = parse::turn, requires = "turn_secret")]
    pub turn_urls: Vec<String>,
    /// Secret that is shared with the TURN servers (coturn: static-auth-secret)
    #[arg(long = "turn-secret", env = "TURN_SECRET", hide_env_values = true)]
    pub turn_secret: Option<String>,
    /// How long a TURN credential is valid, in seconds
    #[arg(long = "turn-ttl-seconds", env = "TURN_TTL_SECONDS", default_value = "3600", value_parser = parse::some_seconds)]
    pub turn_ttl: Duration,
}

impl IceConfig {
    /// Logs the fields that were ignored.
    pub fn log(&self) {
        let ignored = self.ice_servers.as_ref().map(|servers| servers.ignored.join(", ")).unwrap_or_default();
        if !ignored.is_empty() {
            tracing::warn!(ignored, "ICE_SERVERS has fields that no browser reads");
        }
    }

    /// The servers for `user`, with credentials that are valid for [`IceConfig::turn_ttl`] from now on, by the clock of the TURN server.
    pub fn for_user(&self, user: &UserId, clock: &Clock) -> Vec<IceServer> {
        let mut servers = self.ice_servers.as_ref().map(|servers| servers.servers.clone()).unwrap_or_default();
        if !self.stun_urls.is_empty() {
            servers.push(IceServer { urls: self.stun_urls.clone(), username: None, credential: None });
        }
        if let Some(secret) = self.turn_secret.as_ref().filter(|_| !self.turn_urls.is_empty()) {
            let (username, credential) = turn_credential(secret, user.as_str(), clock.wall() + millis(self.turn_ttl));
            let urls = self.turn_urls.clone();
            servers.push(IceServer { urls, username: Some(username), credential: Some(credential) });
        }
        servers
    }

    /// How often clients need fresh credentials: after three quarters of their life; never without TURN.
    pub fn refresh(&self) -> Option<Duration> {
        (self.turn_secret.is_some() && !self.turn_urls.is_empty()).then(|| self.turn_ttl.mul_f64(0.75))
    }
}
