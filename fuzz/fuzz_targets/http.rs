//! The bytes of one connection, from its first one: a PROXY header where one is expected, requests, and what follows an upgrade. The first
//! byte says whether one is expected (its lowest bit), how many bytes arrive at a time, and whether it is HTTP/2 (its highest bit). Then
//! the header and the preface need not be found by chance: they come before the bytes.
#![no_main]

use std::{net::IpAddr, time::Duration};

use libfuzzer_sys::fuzz_target;
use tandem::{config::Network, http::fuzzing::converse};
use tandem_fuzz::stage::{metrics, play};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, duplex, split},
    time::timeout,
};

const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

const HEADER: &[u8] = b"PROXY TCP4 203.0.113.7 10.0.0.1 40000 80\r\n";
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Checks that what a node says over HTTP/2 is whole frames, and its settings first.
fn check_frames(mut said: &[u8]) {
    let mut first = true;
    while let Some(([a, b, c, kind, _, _, _, _, _], rest)) = said.split_first_chunk::<9>() {
        assert!(!first || *kind == 4, "a frame before the settings: {kind}");
        let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
        assert!(length <= rest.len(), "a frame of {length} bytes has {}", rest.len());
        (said, first) = (&rest[length..], false);
    }
    assert!(said.is_empty(), "a part of a frame: {}", said.escape_ascii());
}

fuzz_target!(|data: &[u8]| {
    let Some((how, bytes)) = data.split_first() else { return };
    let (how, http2) = (how & 0x7f, how & 0x80 != 0);
    let before = match (http2, how & 1 == 1) {
        (true, true) => [HEADER, PREFACE].concat(),
        (true, false) => PREFACE.to_vec(),
        (false, _) => Vec::new(),
    };
    let proxies = if how & 1 == 1 { vec![Network::parse("10.0.0.0/8").unwrap()] } else { Vec::new() };
    let step = match how >> 1 {
        0 => bytes.len().max(1),
        step => usize::from(step),
    };
    play(|stage| async move {
        let (near, far) = duplex(4_096);
        let served = tokio::spawn(converse(far, PEER, proxies, metrics().http.clone(), stage.router.clone()));
        let (mut reader, mut writer) = split(near);
        let said = tokio::spawn(async move {
            let mut said = Vec::new();
            let _ = reader.read_to_end(&mut said).await;
            said
        });
        for piece in std::iter::once(&before[..]).chain(bytes.chunks(step)) {
            if writer.write_all(piece).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        let _ = writer.shutdown().await;
        // A client that is gone holds nothing for long.
        timeout(Duration::from_secs(120), served).await.expect("the connection ends").expect("it does not panic");
        let said = timeout(Duration::from_secs(120), said).await.expect("both sides end").unwrap();
        if !said.starts_with(b"HTTP/1.") {
            check_frames(&said);
        }
        stage.check().await;
    });
});
