use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    path::PathBuf,
};

use url::{Host, Url};

/// Where a JWKS is: an https URL, or http where nobody is in between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwksUrl(Url);

/// Why a JWKS cannot be fetched from somewhere, by settings alone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadJwksUrl {
    /// It is no URL, or another scheme.
    #[error("expected an address such as https://login.example.org/.well-known/jwks.json")]
    NotHttps,
    /// It is http, and leads through a network that others may be in.
    #[error(
        "expected https: http is for localhost, and for addresses of this machine or of a private network (such as 127.0.0.1 and 10.0.0.5)"
    )]
    Open,
    /// It has a user or a password.
    #[error("expected no user and no password in the address")]
    User,
    /// The file of authorities cannot be used.
    #[error("AUTH_JWKS_CA_FILE {}: {why}", path.display())]
    Authorities { path: PathBuf, why: String },
    /// TLS cannot be set up.
    #[error("TLS: {0}")]
    Tls(String),
}

impl JwksUrl {
    /// Checks an address.
    pub fn parse(text: &str) -> Result<Self, BadJwksUrl> {
        let url = Url::parse(text.trim()).map_err(|_| BadJwksUrl::NotHttps)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(BadJwksUrl::User);
        }
        match (url.scheme(), url.host()) {
            ("https", Some(_)) => Ok(Self(url)),
            ("http", Some(host)) if is_near(&host) => Ok(Self(url)),
            ("http", Some(_)) => Err(BadJwksUrl::Open),
            _ => Err(BadJwksUrl::NotHttps),
        }
    }

    /// Whether TLS is spoken.
    pub(super) fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// The host and the port to connect to.
    pub(super) fn place(&self) -> (String, u16) {
        let host = match self.0.host() {
            Some(Host::Ipv6(address)) => address.to_string(),
            _ => self.0.host_str().unwrap_or_default().to_owned(),
        };
        (host, self.0.port_or_known_default().unwrap_or(443))
    }

    /// The header `Host`.
    pub(super) fn authority(&self) -> String {
        let host = self.0.host_str().unwrap_or_default();
        self.0.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// What is asked for.
    pub(super) fn target(&self) -> String {
        let query = self.0.query().map_or_else(String::new, |query| format!("?{query}"));
        format!("{}{query}", self.0.path())
    }
}

impl fmt::Display for JwksUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

fn is_near(host: &Host<&str>) -> bool {
    let address = match host {
        Host::Domain(name) => return *name == "localhost" || name.ends_with(".localhost"),
        Host::Ipv4(address) => IpAddr::V4(*address),
        Host::Ipv6(address) => IpAddr::V6(*address),
    };
    match address {
        IpAddr::V4(address) => address.is_loopback() || address.is_private(),
        IpAddr::V6(address) => address == Ipv6Addr::LOCALHOST || address.is_unique_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_is_for_those_who_are_near() {
        for right in [
            "https://login.example.org/jwks",
            "https://192.0.2.1:8443/jwks",
            "http://localhost:9000/jwks",
            "http://127.0.0.1/jwks",
            "http://[::1]:8/jwks",
            "http://10.1.2.3/jwks",
            "http://172.16.0.1/jwks",
            "http://192.168.1.1/jwks",
            "http://[fd00::1]/jwks",
        ] {
            assert!(JwksUrl::parse(right).is_ok(), "{right}");
        }
        for open in [
            "http://login.example.org/jwks",
            "http://192.0.2.1/jwks",
            "http://172.32.0.1/jwks",
            "http://localhost.example.org/jwks",
            "http://[2001:db8::1]/jwks",
            "http://[::ffff:192.0.2.1]/",
            "http://auth/jwks",
        ] {
            assert_eq!(JwksUrl::parse(open), Err(BadJwksUrl::Open), "{open}");
        }
        for wrong in ["", "login.example.org", "file:///etc/passwd", "ftp://localhost/x", "https://", "data:,x"] {
            assert_eq!(JwksUrl::parse(wrong), Err(BadJwksUrl::NotHttps), "{wrong}");
        }
        assert_eq!(JwksUrl::parse("https://a:b@example.org/"), Err(BadJwksUrl::User));
    }

    #[test]
    fn what_is_sent() {
        let url = JwksUrl::parse("https://login.example.org:8443/a/jwks?tenant=1").unwrap();
        assert_eq!(url.place(), ("login.example.org".to_owned(), 8443));
        assert_eq!(url.authority(), "login.example.org:8443");
        assert_eq!(url.target(), "/a/jwks?tenant=1");
        assert_eq!(JwksUrl::parse("http://[::1]/").unwrap().place(), ("::1".to_owned(), 80));
    }
}
