use std::time::Duration;

use clap::Args;

use super::parse;

/// What one connection may do, and how it ends.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Socket")]
pub struct SocketConfig {
    /// Number of messages that a socket may send each second, on average
    #[arg(long = "messages-per-second", env = "MESSAGES_PER_SECOND", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub messages_per_second: u32,
    /// Number of messages that a socket may send at once
    #[arg(long = "message-burst", env = "MESSAGE_BURST", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..))]
    pub message_burst: u32,
    /// Number of bytes that may wait in the outbox of a socket: beyond it BROADCASTs are left out, and without them it is closed with 4008
    #[arg(long = "outbox-bytes", env = "OUTBOX_BYTES", default_value = "524288", value_parser = parse::count)]
    pub outbox_bytes: usize,
    /// Interval between WebSocket pings to a client, in seconds, varied by a fifth each way
    #[arg(long = "ping-interval-seconds", env = "PING_INTERVAL_SECONDS", default_value = "25", value_parser = parse::some_seconds)]
    pub ping_interval: Duration,
    /// How long a socket may send nothing after a ping, not even a pong, before it is closed with 4009, in seconds
    #[arg(long = "ping-timeout-seconds", env = "PING_TIMEOUT_SECONDS", default_value = "20", value_parser = parse::some_seconds)]
    pub ping_timeout: Duration,
    /// How long a socket may be open before it sends a JOIN or RESUME, granted or not, before it is closed with 1008, in seconds; 0 for as long as it likes
    #[arg(long = "join-timeout-seconds", env = "JOIN_TIMEOUT_SECONDS", default_value = "30", value_parser = parse::seconds)]
    pub join_timeout: Duration,
    /// Maximum time over which the sockets are closed when the node is told to stop, in seconds
    #[arg(long = "drain-seconds", env = "DRAIN_SECONDS", default_value = "10", value_parser = parse::seconds)]
    pub drain: Duration,
}
