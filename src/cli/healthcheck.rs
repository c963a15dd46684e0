use std::{
    io::{Read as _, Write as _},
    net::{TcpStream, ToSocketAddrs as _},
    process::ExitCode,
    time::Duration,
};

use clap::Args;

/// How long a node may take to answer.
const DEADLINE: Duration = Duration::from_secs(2);

#[derive(Debug, Args)]
pub(super) struct Healthcheck {
    /// Port of the node
    #[arg(long, env = "PORT", default_value_t = 4001)]
    port: u16,
    /// What to ask: /health (does it live?) or /ready (does it take clients?)
    #[arg(long, default_value = "/health")]
    path: String,
}

impl Healthcheck {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        match self.ask() {
            Ok(status) if status.starts_with("HTTP/1.1 200 ") => Ok(ExitCode::SUCCESS),
            Ok(status) => anyhow::bail!("port {} answers {status:?}", self.port),
            Err(error) => anyhow::bail!("port {}: {error}", self.port),
        }
    }

    fn ask(&self) -> std::io::Result<String> {
        let Some(address) = ("localhost", self.port).to_socket_addrs()?.find(std::net::SocketAddr::is_ipv4) else {
            return Err(std::io::Error::other("localhost has no address"));
        };
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
