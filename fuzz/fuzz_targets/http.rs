//! The bytes of one connection, from its first one: a PROXY header where one is expected, requests, and what follows an upgrade. The first
//! byte says whether one is expected (its lowest bit), and how many bytes arrive at a time.
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

fuzz_target!(|data: &[u8]| {
    let Some((how, bytes)) = data.split_first() else { return };
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
        for piece in bytes.chunks(step) {
            if writer.write_all(piece).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        let _ = writer.shutdown().await;
        // A client that is gone holds nothing for long.
        timeout(Duration::from_secs(120), served).await.expect("the connection ends").expect("it does not panic");
        let said = timeout(Duration::from_secs(120), said).await.expect("both sides end").unwrap();
        assert!(said.is_empty() || said.starts_with(b"HTTP/1."), "{}", said.escape_ascii());
        stage.check().await;
    });
});
