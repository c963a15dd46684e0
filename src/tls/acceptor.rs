use std::{
    io,
    sync::{Arc, PoisonError, RwLock},
};

use rustls::{
    ServerConfig,
    crypto::ring,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{
    PairError, PairFiles,
    pair::{Fingerprint, Pair},
};
use crate::{
    clock::Clock,
    telemetry::{TlsHandshake, TlsMetrics, TlsReload},
};

/// The first byte of a TLS connection: a record of the handshake. No method of HTTP begins with it.
const HANDSHAKE: u8 = 0x16;
/// The protocols over TLS, by preference; the first is a setting.
const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// TLS of this node.
#[derive(Debug)]
pub struct Tls {
    pub(super) files: PairFiles,
    pub(super) metrics: TlsMetrics,
    pub(super) clock: Clock,
    current: Arc<Current>,
    acceptor: Acceptor,
    /// What the files held when the pair in use was read.
    pub(super) first: Fingerprint,
}

struct Acceptor(TlsAcceptor);

impl std::fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Acceptor")
    }
}

/// The pair in use. Connections that are open do not need it any more.
#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Tls {
    /// Reads the files. A certificate that has expired is served, with a line in the log: a node that does not start would help nobody.
    pub fn open(files: PairFiles, http2: bool, clock: Clock, metrics: TlsMetrics) -> Result<Self, PairError> {
        let contents = files.read()?;
        let pair = contents.parse(&files)?;
        let current = Arc::new(Current(RwLock::new(Arc::clone(&pair.key))));
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&current) as _);
        let protocols = [HTTP2, HTTP1].into_iter().filter(|protocol| http2 || *protocol != HTTP2);
        config.alpn_protocols = protocols.map(<[u8]>::to_vec).collect();
        // A crowd that comes back takes up its sessions again, which costs no signature.
        config.ticketer = ring::Ticketer::new()?;
        let acceptor = Acceptor(TlsAcceptor::from(Arc::new(config)));
        let tls = Self { files, metrics, clock, current, acceptor, first: contents.fingerprint() };
        tls.metrics.expiry.set(i64::try_from(pair.expires).unwrap_or(i64::MAX));
        if tls.has_expired(&pair) {
            tracing::warn!(file = tls.files.certificate_name(), "the certificate of this node has expired");
        }
        Ok(tls)
    }

    pub(super) fn has_expired(&self, pair: &Pair) -> bool {
        pair.expires.saturating_mul(1_000) <= self.clock.now()
    }

    /// Uses another pair from now on.
    pub(super) fn replace(&self, pair: Pair) {
        *self.current.0.write().unwrap_or_else(PoisonError::into_inner) = pair.key;
        self.metrics.expiry.set(i64::try_from(pair.expires).unwrap_or(i64::MAX));
        self.metrics.reloads.inc(TlsReload::Loaded);
    }

    /// Whether a connection that begins with these bytes is one of TLS.
    pub fn is_spoken(bytes: &[u8]) -> bool {
        bytes.first() == Some(&HANDSHAKE)
    }

    /// Whether HTTP/2 was agreed on. Clients that name no protocol get HTTP/1.1.
    pub fn chose_http2<S>(stream: &TlsStream<S>) -> bool {
        stream.get_ref().1.alpn_protocol() == Some(HTTP2)
    }

    /// Counts a connection without TLS that was refused.
    pub fn refuse_plain(&self) {
        self.metrics.handshakes.inc(TlsHandshake::Plain);
    }

    /// Shakes hands with a client.
    pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) -> io::Result<TlsStream<S>> {
        let accepted = self.acceptor.0.accept(stream).await;
        self.metrics.handshakes.inc(if accepted.is_ok() { TlsHandshake::Done } else { TlsHandshake::Failed });
        accepted
    }
}
