//! Inline commands to Redis, without a client library.

use std::{
    io::{self, ErrorKind, Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

pub(super) fn ask(port: u16, line: &str) -> String {
    try_ask(port, line, SOON).unwrap_or_default()
}

/// Enough for whoever asks again.
pub(super) const SOON: Duration = Duration::from_secs(2);

const NO_QUIT: &[u8] = b"unknown command 'QUIT'";

/// The answers to a line, or to several. An error if there is none, with `silence` for each read.
pub(super) fn try_ask(port: u16, line: &str, silence: Duration) -> io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(silence))?;
    stream.write_all(format!("{line}\r\nQUIT\r\n").as_bytes())?;
    let (mut reply, mut some) = (Vec::new(), vec![0; 65_536]);
    let end = loop {
        match stream.read(&mut some) {
            Ok(0) => break Ok(()),
            Ok(length) => reply.extend_from_slice(&some[..length]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => break Err(error),
        }
        // Sentinels answer that they do not know QUIT.
        if reply.windows(NO_QUIT.len()).any(|it| it == NO_QUIT) {
            break Ok(());
        }
    };
    match end {
        Err(error) if reply.is_empty() => Err(error),
        _ => Ok(String::from_utf8_lossy(&reply).into_owned()),
    }
}
