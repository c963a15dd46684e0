use std::time::Duration;

use clap::{Args, ValueEnum};

use super::{Network, OriginPattern, Resource, parse};

/// Where the node listens, and how it is seen from outside.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Server")]
pub struct ServerConfig {
    /// Address to listen on. :: is every address of IPv6 and IPv4 (of IPv4 alone where there is no IPv6), 0.0.0.0 every address of IPv4
    #[arg(long = "host", env = "HOST", default_value = "::")]
    pub host: String,
    /// Port for everything: page, WebSocket, API and (without --metrics-port) metrics; 0 picks a free one
    #[arg(long = "port", env = "PORT", default_value_t = 4001)]
    pub port: u16,
    /// Port of its own for /metrics and /status, on the same address; 0 picks a free one. The other port then has no /metrics, and its /status is empty
    #[arg(long = "metrics-port", env = "METRICS_PORT")]
    pub metrics_port: Option<u16>,
    /// Number of threads that serve sockets [default: one fewer than the CPUs that this process may use]. A hop between threads costs more than
    /// most messages do
    #[arg(long = "worker-threads", env = "WORKER_THREADS", value_parser = parse::count)]
    pub worker_threads: Option<usize>,
    /// Name of this node; generated at every start if not given
    #[arg(long = "node-id", env = "NODE_ID")]
    pub node_id: Option<String>,
    /// Maximum number of open WebSockets; beyond it an upgrade is refused with 503. The maximum is lower if the limit of open files (ulimit -n) requires it
    #[arg(long = "max-connections", env = "MAX_CONNECTIONS", default_value = "50000", value_parser = parse::count)]
    pub max_connections: usize,
    /// Number of proxies in front that append to X-Forwarded-For; 0 uses the address of the socket itself. A client whose address the proxies do not supply shares its address with no other client
    #[arg(long = "trust-proxy-hops", env = "TRUST_PROXY_HOPS", default_value_t = 0)]
    pub trust_proxy_hops: usize,
    /// Addresses of the proxies in front, comma-separated, each alone or as a range such as 10.0.0.0/8. If given, X-Forwarded-For and X-Forwarded-Proto are believed from these addresses alone, and the client is the last address in X-Forwarded-For that is not among them (with --trust-proxy-hops, the one that the number says)
    #[arg(long = "trusted-proxies", env = "TRUSTED_PROXIES", value_delimiter = ',', value_parser = parse::network)]
    pub trusted_proxies: Vec<Network>,
    /// Addresses of proxies, comma-separated, each alone or as a range, whose connections begin with a header of the PROXY protocol (version 1 or 2). They have to send one, and from everybody else it is refused
    #[arg(long = "proxy-protocol-from", env = "PROXY_PROTOCOL_FROM", value_delimiter = ',', value_parser = parse::network)]
    pub proxy_protocol_from: Vec<Network>,
    /// Origins that may open a WebSocket, comma-separated: <https://watch.example.org>, all subdomains (https://*.example.org), all of a scheme (chrome-extension://*), or * for all (an extension has another origin for each installation)
    #[arg(long = "allowed-origins", env = "ALLOWED_ORIGINS", default_value = "*", value_delimiter = ',', value_parser = parse::origin)]
    pub allowed_origins: Vec<OriginPattern>,
    /// How long a client may take to send its request headers, or to receive each piece of an answer, in seconds
    #[arg(long = "header-timeout-seconds", env = "HEADER_TIMEOUT_SECONDS", default_value = "10", value_parser = parse::some_seconds)]
    pub header_timeout: Duration,
    /// How long a connection is kept open for another request after an answer, in seconds; set more than the load balancer in front does
    #[arg(long = "keep-alive-seconds", env = "KEEP_ALIVE_SECONDS", default_value = "75", value_parser = parse::some_seconds)]
    pub keep_alive: Duration,
    /// Whether the node speaks HTTP/2, too, with WebSockets over it: with TLS to those who prefer it, and without TLS to those who begin with it, as proxies do
    #[arg(long = "http2", env = "HTTP2", default_value_t = true, action = clap::ArgAction::Set)]
    pub http2: bool,
    /// Whether a client address (an IPv6 /64), and a user whom a token names, is held to a share: once more than half of the node's sockets, connections, rooms or CPU time is in use, one address gets at most half of what the others leave. Turn it off where a balancer in front hides the addresses of its clients
    #[arg(long = "address-shares", env = "ADDRESS_SHARES", default_value_t = true, action = clap::ArgAction::Set)]
    pub address_shares: bool,
    /// The most that one client address may have on a node, comma-separated, such as sockets=200,connects=20. By number: sockets, connections, rooms; each second, and three times that at once: connects, requests, messages, bytes, ledger (bytes of events), codes, cpu (microseconds)
    #[arg(long = "address-caps", env = "ADDRESS_CAPS", value_delimiter = ',', value_parser = parse::cap)]
    pub address_caps: Vec<(Resource, u32)>,
    /// The most that one user may have on a node, whatever the number of addresses, where a token says who that is; as in --address-caps, of sockets, rooms, messages, bytes, ledger and cpu
    #[arg(long = "user-caps", env = "USER_CAPS", value_delimiter = ',', value_parser = parse::cap)]
    pub user_caps: Vec<(Resource, u32)>,
    /// Base URL of links to this service, such as <https://watch.example.org>; taken from the request if not given
    #[arg(long = "public-url", env = "PUBLIC_URL")]
    pub public_url: Option<url::Url>,
    /// URL that an invite link redirects to, with ?tandemRoom=...&pin=... added; the page of this node if not given, <https://www.netflix.com/> for the extension. Links that the page of this node gives out always lead to that page
    #[arg(long = "invite-url", env = "INVITE_URL", default_value = "/", value_parser = parse::target)]
    pub invite_url: String,
    /// What /status lists: counts only, or every room with its members (which makes them public)
    #[arg(long = "status-detail", env = "STATUS_DETAIL", default_value = "counts")]
    pub status_detail: StatusDetail,
    /// Key for hashing PINs, tokens, addresses and codes, of at least 16 bytes; it must be the same on every node. A single node generates one and keeps it in the data directory if not given
    #[arg(long = "secret", env = "TANDEM_SECRET", hide_env_values = true, value_parser = parse::secret)]
    pub secret: Option<String>,
    /// The other secret that nodes may have while TANDEM_SECRET is being changed: what was made with it stays valid, and nothing new is made
    /// with it. docs/deployment.md has the steps
    #[arg(long = "secret-previous", env = "TANDEM_SECRET_PREVIOUS", hide_env_values = true, requires = "secret")]
    pub secret_previous: Option<String>,
}

/// How much `/status` tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StatusDetail {
    /// Counts only.
    Counts,
    /// Every room with its members, as the first generation did.
    Rooms,
}
