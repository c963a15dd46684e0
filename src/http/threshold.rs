use std::net::{IpAddr, SocketAddr};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::{
    Peer,
    complaint::Complaint,
    proxy_header::{Malformed, Opening, Source},
};
use crate::{
    config::Network,
    telemetry::{HttpMetrics, Label as _, ProxyHeaderFault},
};

/// What a first read asks the kernel for, in bytes.
const SCOOP: usize = 1_024;

/// Reads who a connection comes from, where a proxy says that with a PROXY header before everything else.
#[derive(Debug)]
pub(super) struct Threshold {
    /// The proxies whose connections begin with a header.
    proxies: Vec<Network>,
    metrics: HttpMetrics,
    refused: Complaint,
}

/// The first bytes of a connection, beyond its header.
#[derive(Debug)]
pub(super) struct Entered {
    pub peer: Peer,
    pub rest: Bytes,
}

/// The connection ends here.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotEntered {
    #[error("the PROXY header: {}", .0.value())]
    Header(ProxyHeaderFault),
    /// A balancer looks whether the port is open, or a client is gone.
    #[error("the connection ended before its first byte")]
    Nothing,
}

impl Threshold {
    pub(super) fn new(proxies: Vec<Network>, metrics: HttpMetrics) -> Self {
        Self { proxies, metrics, refused: Complaint::new() }
    }

    /// Whether a connection from this address begins with a header.
    pub(super) fn expects(&self, address: IpAddr) -> bool {
        self.proxies.iter().any(|network| network.contains(address))
    }

    /// Reads the header, if there is one, and the bytes that came with it.
    pub(super) async fn enter(
        &self,
        stream: &mut (impl AsyncRead + Unpin),
        address: IpAddr,
    ) -> Result<Entered, NotEntered> {
        let expected = self.expects(address);
        let mut bytes = BytesMut::with_capacity(SCOOP);
        loop {
            // A read that fails is the end, too.
            let read = stream.read_buf(&mut bytes).await.unwrap_or_default();
            let fault = match (Opening::read(&bytes), expected) {
                (Ok(Opening::Part), true) if read == 0 && bytes.is_empty() => return Err(NotEntered::Nothing),
                (Ok(Opening::Part), _) if read > 0 => continue,
                (Ok(Opening::Part | Opening::Other), false) => {
                    return Ok(Entered { peer: Peer(Some(address)), rest: bytes.freeze() });
                }
                (Ok(Opening::Header(source, length)), true) => {
                    let peer = match source {
                        Source::Proxy => Some(address),
                        Source::Client(client) => Some(client),
                        Source::Unknown => None,
                    };
                    return Ok(Entered { peer: Peer(peer), rest: bytes.split_off(length).freeze() });
                }
                (Ok(Opening::Other), true) => ProxyHeaderFault::Missing,
                (Err(Malformed), true) => ProxyHeaderFault::Malformed,
                (Ok(Opening::Header(_, _)) | Err(Malformed), false) => ProxyHeaderFault::Untrusted,
                (Ok(Opening::Part), true) => ProxyHeaderFault::Cut,
            };
            return Err(NotEntered::Header(fault));
        }
    }

    /// Counts a header that was refused, and says so from time to time.
    pub(super) fn refuse(&self, fault: ProxyHeaderFault, peer: SocketAddr) {
        self.metrics.proxy_headers_refused.inc(fault);
        if let Some(skipped) = self.refused.pass() {
            tracing::warn!(
                why = fault.value(),
                peer = %peer.ip().to_canonical(),
                skipped,
                "a connection was closed for its PROXY header; PROXY_PROTOCOL_FROM lists who has to send one, and nobody else may"
            );
        }
    }
}
