use clap::{Args, ValueEnum};

/// What is logged, and how it looks.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Log")]
pub struct LogConfig {
    /// Lowest level that is logged
    #[arg(long = "log-level", env = "LOG_LEVEL", default_value = "info", ignore_case = true)]
    pub log_level: LogLevel,
    /// Format of log lines: json (as pino writes them) or pretty (text for people); auto is text on a terminal and JSON elsewhere
    #[arg(long = "log-format", env = "LOG_FORMAT", default_value = "auto")]
    pub log_format: LogFormat,
    /// Whether ids of rooms and users, and names, are replaced by keyed hashes in lines of level info and above
    #[arg(long = "log-mask-ids", env = "LOG_MASK_IDS", default_value = "false", action = clap::ArgAction::Set)]
    pub log_mask_ids: bool,
    /// How addresses of clients are logged: full, truncated (the network of an IPv4 address, /24, or of an IPv6 address, /48), or none
    #[arg(long = "log-addresses", env = "LOG_ADDRESSES", default_value = "full")]
    pub log_addresses: LogAddresses,
}

/// How much of an address is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs, reason = "each is its own name")]
pub enum LogAddresses {
    Full,
    Truncated,
    None,
}

/// pino's levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs, reason = "each is its own name")]
pub enum LogLevel {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
    Fatal,
    Silent,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs, reason = "each is its own name")]
pub enum LogFormat {
    Auto,
    Json,
    Pretty,
}

impl LogLevel {
    /// The filter of `tracing`, which has no `fatal`.
    pub fn filter(self) -> tracing_subscriber::filter::LevelFilter {
        use tracing_subscriber::filter::LevelFilter;
        match self {
            Self::Trace => LevelFilter::TRACE,
            Self::Debug => LevelFilter::DEBUG,
            Self::Info => LevelFilter::INFO,
            Self::Warn => LevelFilter::WARN,
            Self::Error | Self::Fatal => LevelFilter::ERROR,
            Self::Silent => LevelFilter::OFF,
        }
    }
}
