//! An endpoint to put under load. It is always a loopback address.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    str::FromStr,
};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use tokio_tungstenite::tungstenite::http::Uri;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Target {
    address: SocketAddr,
    path: String,
}

impl Target {
    /// An endpoint; refuses any address that is not loopback.
    pub(crate) fn new(address: SocketAddr, path: &str) -> Result<Self> {
        ensure!(
            address.ip().is_loopback(),
            "{} is not a loopback address: load is only ever made against this machine",
            address.ip()
        );
        Ok(Self { address, path: path.to_owned() })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The url to ask for, with `query` unless it is empty.
    pub(crate) fn url(&self, query: &str) -> String {
        let mark = if query.is_empty() { "" } else { "?" };
        format!("ws://{}{}{mark}{query}", self.address, self.path)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url(""))
    }
}

impl From<Target> for String {
    fn from(target: Target) -> Self {
        target.to_string()
    }
}

impl TryFrom<String> for Target {
    type Error = anyhow::Error;

    fn try_from(url: String) -> Result<Self> {
        url.parse()
    }
}

impl FromStr for Target {
    type Err = anyhow::Error;

    fn from_str(url: &str) -> Result<Self> {
        let uri: Uri = url.parse().context("not a url")?;
        ensure!(uri.scheme_str() == Some("ws"), "a target starts with ws://");
        let host = uri.host().context("no host in the url")?;
        let ip = match host {
            "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
            literal => match literal.trim_matches(['[', ']']).parse() {
                Ok(ip) => ip,
                Err(_) => bail!("{host} is not a loopback address"),
            },
        };
        Self::new(SocketAddr::new(ip, uri.port_u16().unwrap_or(80)), uri.path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_in_all_spellings() {
        for (url, shown) in [
            ("ws://127.0.0.1:4001/ws", "ws://127.0.0.1:4001/ws"),
            ("ws://localhost:4001/ws", "ws://127.0.0.1:4001/ws"),
            ("ws://127.9.9.9:1/ws", "ws://127.9.9.9:1/ws"),
            ("ws://[::1]:4001/ws", "ws://[::1]:4001/ws"),
        ] {
            let target: Target = url.parse().unwrap();
            assert_eq!(target.to_string(), shown);
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for url in [
            "ws://10.0.0.1:4001/ws",
            "ws://example.org/ws",
            "ws://0.0.0.0:4001/ws",
            "ws://localhost.example.org/ws",
            "wss://127.0.0.1/ws",
            "http://127.0.0.1/ws",
            "/ws",
            "",
        ] {
            assert!(url.parse::<Target>().is_err(), "{url}");
        }
    }

    #[test]
    fn the_query_goes_behind_the_path() {
        let target: Target = "ws://127.0.0.1:9/ws".parse().unwrap();
        assert_eq!(target.url("room=a"), "ws://127.0.0.1:9/ws?room=a");
    }
}
