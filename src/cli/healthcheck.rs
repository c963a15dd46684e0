use std::{
    io::{self, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs as _},
    process::ExitCode,
    time::Duration,
};

use clap::Args;

use crate::http::bare;

/// How long a node may take to answer.
const DEADLINE: Duration = Duration::from_secs(2);

#[derive(Debug, Args)]
pub(super) struct Healthcheck {
    /// Address that the node listens on; if that is every address, both families are tried on this machine
    #[arg(long, env = "HOST", default_value = "::")]
    host: String,
    /// Port of the node
    #[arg(long, env = "PORT", default_value_t = 4001)]
    port: u16,
    /// Path to ask: /health (is it alive?) or /ready (does it accept clients?)
    #[arg(long, default_value = "/health")]
    path: String,
}

impl Healthcheck {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let mut failures = Vec::new();
        for address in self.addresses()? {
            // The first address that answers is the node; the next one is tried only if nobody answers.
            match self.ask(address) {
                Ok(status) if status.starts_with("HTTP/1.1 200 ") => return Ok(ExitCode::SUCCESS),
                Ok(status) => anyhow::bail!("{address} answers {status:?}"),
                Err(error) => failures.push(format!("{address}: {error}")),
            }
        }
        anyhow::bail!("{}", failures.join(", "))
    }

    /// The addresses of a node with these settings, in the order in which they are tried.
    fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        let here = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        let mut all: Vec<SocketAddr> = Vec::new();
        for bound in (bare(&self.host), self.port).to_socket_addrs()? {
            let reached = if bound.ip().is_unspecified() { &here[..] } else { &[bound.ip()] };
            all.extend(reached.iter().map(|ip| SocketAddr::new(*ip, self.port)));
        }
        Ok(all)
    }

    fn ask(&self, address: SocketAddr) -> io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&address, DEADLINE)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
        write!(stream, "GET {} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", self.path)?;
        let mut head = [0; 64];
        let length = stream.read(&mut head)?;
        let text = String::from_utf8_lossy(head.get(..length).unwrap_or_default()).into_owned();
        Ok(text.lines().next().unwrap_or_default().to_owned())
    }
}
