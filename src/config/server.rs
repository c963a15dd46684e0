use std::time::Duration;

use clap::{Args, ValueEnum};

use super::parse;

/// Where the node listens, and how it is seen from outside.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Server")]
pub struct ServerConfig {
    /// Address to listen on; :: is every one, of IPv6 and IPv4 (of IPv4 alone where there is no IPv6), 0.0.0.0 every one of IPv4
    #[arg(long = "host", env = "HOST", default_value = "::")]
    pub host: String,
    /// Port for everything: page, WebSocket, API, metrics; 0 takes a free one
    #[arg(long = "port", env = "PORT", default_value_t = 4001)]
    pub port: u16,
    /// Threads that serve sockets [default: the CPUs that this process may use, without one]. Each hop between threads costs more than
    /// most messages do
    #[arg(long = "worker-threads", env = "WORKER_THREADS", value_parser = parse::count)]
    pub worker_threads: Option<usize>,
    /// Name of this node; made up at every start if not given
    #[arg(long = "node-id", env = "NODE_ID")]
    pub node_id: Option<String>,
    /// Most WebSockets at once; beyond it an upgrade is refused with 503. Fewer if the limit of open files (ulimit -n) does not allow so many
    #[arg(long = "max-connections", env = "MAX_CONNECTIONS", default_value = "50000", value_parser = parse::count)]
    pub max_connections: usize,
    /// How many proxies in front append to X-Forwarded-For; 0 trusts the socket's own address. A client whose address they do not tell is nobody, and shares nothing with others
    #[arg(long = "trust-proxy-hops", env = "TRUST_PROXY_HOPS", default_value_t = 0)]
    pub trust_proxy_hops: usize,
    /// Origins that may open a WebSocket, comma-separated; * allows all (extensions have an origin per install)
    #[arg(long = "allowed-origins", env = "ALLOWED_ORIGINS", default_value = "*", value_delimiter = ',', value_parser = parse::origin)]
    pub allowed_origins: Vec<String>,
    /// How long a client may take to send its request headers, or to take another piece of an answer, in seconds
    #[arg(long = "header-timeout-seconds", env = "HEADER_TIMEOUT_SECONDS", default_value = "10", value_parser = parse::some_seconds)]
    pub header_timeout: Duration,
    /// How long a connection is kept for another request after an answer, in seconds; longer than the balancer in front does
    #[arg(long = "keep-alive-seconds", env = "KEEP_ALIVE_SECONDS", default_value = "75", value_parser = parse::some_seconds)]
    pub keep_alive: Duration,
    /// Base of links to this service, such as <https://watch.example.org>; taken from the request if not given
    #[arg(long = "public-url", env = "PUBLIC_URL")]
    pub public_url: Option<url::Url>,
    /// Where an invite link leads; gets ?tandemRoom=...&pin=... The page of this node, or <https://www.netflix.com/> for the extension. Links that the page of this node gives out lead to that page all the same
    #[arg(long = "invite-url", env = "INVITE_URL", default_value = "/", value_parser = parse::target)]
    pub invite_url: String,
    /// What /status lists: only counts, or every room with its members (public!)
    #[arg(long = "status-detail", env = "STATUS_DETAIL", default_value = "counts")]
    pub status_detail: StatusDetail,
    /// Key for hashing PINs, tokens, addresses and codes; the same on every node. At least 16 bytes. Made and kept in the data directory if not given
    #[arg(long = "secret", env = "TANDEM_SECRET", hide_env_values = true, value_parser = parse::secret)]
    pub secret: Option<String>,
    /// While TANDEM_SECRET is being changed: the other one that nodes may have. What was made with it holds, nothing new is. docs/deployment.md
    /// has the steps
    #[arg(long = "secret-previous", env = "TANDEM_SECRET_PREVIOUS", hide_env_values = true, requires = "secret")]
    pub secret_previous: Option<String>,
}

/// How much `/status` tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StatusDetail {
    /// Numbers only.
    Counts,
    /// Rooms and members too, as the first generation did.
    Rooms,
}
