//! One GET over HTTP/1.1. It follows no redirect, uses no proxy, and keeps no connection.

use std::{future::pending, path::Path, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes, to_bytes},
    http::{
        HeaderMap, Request, StatusCode,
        header::{ACCEPT, CACHE_CONTROL, HOST, USER_AGENT},
    },
};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::{error::Elapsed, timeout},
};
use tokio_rustls::TlsConnector;

use super::{BadJwksUrl, JwksUrl};

/// The maximum length of an answer, in bytes.
const MOST_BYTES: usize = 128 * 1024;
/// The maximum length of its headers, in bytes.
const MOST_HEADER_BYTES: usize = 16 * 1024;

/// Why an answer did not come, or is none that can be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("cannot connect: {0}")]
    Connect(std::io::Error),
    #[error("HTTP: {0}")]
    Http(#[from] hyper::Error),
    #[error("no answer within {} ms", .0.as_millis())]
    Slow(Duration),
    #[error("it redirects ({0}), which is not followed: AUTH_JWKS_URL has to be the address of the set itself")]
    Redirect(StatusCode),
    #[error("it answers {0}")]
    Status(StatusCode),
    #[error("the answer is longer than {MOST_BYTES} bytes, or was cut off")]
    Large,
    #[error("the name of the host cannot be verified")]
    Name,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) body: Bytes,
    /// How long it may be kept, if it says so.
    pub(super) max_age: Option<Duration>,
}

/// Fetches from one address.
pub(super) struct Client {
    url: JwksUrl,
    tls: Option<TlsConnector>,
    patience: Duration,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Client({})", self.url)
    }
}

impl Client {
    pub(super) fn new(url: &JwksUrl, ca_file: Option<&Path>, patience: Duration) -> Result<Self, BadJwksUrl> {
        let tls = url.is_https().then(|| connector(ca_file)).transpose()?;
        Ok(Self { url: url.clone(), tls, patience })
    }

    pub(super) fn url(&self) -> &JwksUrl {
        &self.url
    }

    /// Asks, from the lookup of the name to the last byte within the time that there is.
    pub(super) async fn fetch(&self) -> Result<Fetched, FetchError> {
        timeout(self.patience, self.ask()).await.map_err(|_: Elapsed| FetchError::Slow(self.patience))?
    }

    async fn ask(&self) -> Result<Fetched, FetchError> {
        let (host, port) = self.url.place();
        let stream = TcpStream::connect((host.as_str(), port)).await.map_err(FetchError::Connect)?;
        match &self.tls {
            None => self.exchange(stream).await,
            Some(tls) => {
                let name = ServerName::try_from(host).map_err(|_| FetchError::Name)?;
                let stream = tls.connect(name, stream).await.map_err(FetchError::Connect)?;
                self.exchange(stream).await
            }
        }
    }

    async fn exchange<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        &self,
        stream: S,
    ) -> Result<Fetched, FetchError> {
        let (mut sender, connection) =
            http1::Builder::new().max_buf_size(MOST_HEADER_BYTES).handshake(TokioIo::new(stream)).await?;
        let exchange = async {
            let mut request = Request::new(Body::empty());
            *request.uri_mut() = self.url.target().parse().unwrap_or_default();
            for (name, value) in
                [(HOST, self.url.authority().as_str()), (ACCEPT, "application/json"), (USER_AGENT, "tandem")]
            {
                if let Ok(value) = value.parse() {
                    request.headers_mut().insert(name, value);
                }
            }
            let response = sender.send_request(request).await?;
            let status = response.status();
            if status.is_redirection() {
                return Err(FetchError::Redirect(status));
            }
            if status != StatusCode::OK {
                return Err(FetchError::Status(status));
            }
            let max_age = max_age(response.headers());
            let body = to_bytes(Body::new(response.into_body()), MOST_BYTES).await.map_err(|_| FetchError::Large)?;
            Ok(Fetched { body, max_age })
        };
        // The connection is driven here; when it ends, the exchange knows by itself.
        tokio::select! {
            outcome = exchange => outcome,
            never = async { drop(connection.await); pending().await } => never,
        }
    }
}

fn connector(ca_file: Option<&Path>) -> Result<TlsConnector, BadJwksUrl> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = ca_file {
        let refuse = |why: String| BadJwksUrl::Authorities { path: path.to_owned(), why };
        for certificate in CertificateDer::pem_file_iter(path).map_err(|error| refuse(error.to_string()))? {
            let certificate = certificate.map_err(|error| refuse(error.to_string()))?;
            roots.add(certificate).map_err(|error| refuse(error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(refuse("has no certificate".to_owned()));
        }
    } else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| BadJwksUrl::Tls(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// What `Cache-Control` allows. What may not be kept is kept for no time, which the caller bounds.
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let lines = headers.get_all(CACHE_CONTROL).iter().filter_map(|line| line.to_str().ok());
    let mut found = None;
    for directive in lines.flat_map(|line| line.split(',')).map(|directive| directive.trim().to_ascii_lowercase()) {
        if directive == "no-store" || directive == "no-cache" {
            return Some(Duration::ZERO);
        }
        if let Some(seconds) = directive.strip_prefix("max-age=") {
            found = seconds.trim_matches('"').parse().ok().map(Duration::from_secs);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cache_control() {
        let age = |lines: &[&str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(CACHE_CONTROL, line.parse().unwrap());
            }
            max_age(&headers).map(|age| age.as_secs())
        };
        assert_eq!(age(&[]), None);
        assert_eq!(age(&["public, max-age=300"]), Some(300));
        assert_eq!(age(&["public", "Max-Age=\"300\""]), Some(300));
        assert_eq!(age(&["max-age=300, no-cache"]), Some(0));
        assert_eq!(age(&["no-store"]), Some(0));
        assert_eq!(age(&["max-age=-1"]), None);
        assert_eq!(age(&["s-maxage=300"]), None);
    }
}
