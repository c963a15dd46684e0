use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::tls::Tls;

/// What a client of HTTP/2 sends before everything else (RFC 9113, 3.4). No request of HTTP/1.1 begins like this.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spoken {
    Tls,
    /// HTTP/2 without TLS, as proxies speak it to what is behind them.
    Http2,
    Http1,
}

impl Spoken {
    /// Reads on from the first bytes until it is clear what is spoken. What ends before is left to HTTP/1.1.
    pub(super) async fn listen(stream: &mut (impl AsyncRead + Unpin), rest: Bytes) -> io::Result<(Self, Bytes)> {
        let mut bytes = BytesMut::from(rest);
        loop {
            if Tls::is_spoken(&bytes) {
                return Ok((Self::Tls, bytes.freeze()));
            }
            if bytes.starts_with(PREFACE) {
                return Ok((Self::Http2, bytes.freeze()));
            }
            if !PREFACE.starts_with(&bytes) || stream.read_buf(&mut bytes).await? == 0 {
                return Ok((Self::Http1, bytes.freeze()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    #[tokio::test]
    async fn it_is_known_from_the_first_bytes_that_tell() {
        for (sent, spoken) in [
            (&b"\x16\x03\x01"[..], Spoken::Tls),
            (PREFACE, Spoken::Http2),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04", Spoken::Http2),
            (b"PRI * HTTP/1.1\r\n", Spoken::Http1),
            (b"PRI * HTTP/2.0\r\n\r\n", Spoken::Http1),
            (b"POST / HTTP/1.1\r\n", Spoken::Http1),
            (b"G", Spoken::Http1),
            (b"", Spoken::Http1),
        ] {
            for cut in 0..=sent.len() {
                let (mut peer, mut stream) = tokio::io::duplex(64);
                peer.write_all(&sent[cut..]).await.unwrap();
                drop(peer);
                let (found, bytes) = Spoken::listen(&mut stream, Bytes::copy_from_slice(&sent[..cut])).await.unwrap();
                assert_eq!(found, spoken, "{sent:?} in two parts, the second from {cut}");
                assert!(sent.starts_with(&bytes) && bytes.len() >= cut, "{bytes:?}");
            }
        }
    }
}
