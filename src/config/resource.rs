/// What an account is charged for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// Open WebSockets.
    Sockets,
    /// Open HTTP connections that are not WebSockets.
    Connections,
    /// Rooms of this node that the client was the first to enter.
    Rooms,
    /// Upgrades to a WebSocket, each second.
    Connects,
    /// HTTP requests, each second.
    Requests,
    /// Messages, each second; large ones count as several.
    Messages,
    /// Bytes of messages, each second.
    Bytes,
    /// Bytes that messages leave in the ledger, roughly, each second.
    Ledger,
    /// Codes of rooms, each second: those that are made for rooms that do not exist, and those that lead nowhere.
    Codes,
    /// CPU time, in microseconds each second.
    Cpu,
}

impl Resource {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Sockets,
        Self::Connections,
        Self::Rooms,
        Self::Connects,
        Self::Requests,
        Self::Messages,
        Self::Bytes,
        Self::Ledger,
        Self::Codes,
        Self::Cpu,
    ];
    /// How many of them, the first ones, a client holds; the others are counted each second.
    pub const HELD: usize = 3;

    /// Its index in [`Resource::ALL`].
    pub fn place(self) -> usize {
        self as usize
    }

    /// Its name in settings and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sockets => "sockets",
            Self::Connections => "connections",
            Self::Rooms => "rooms",
            Self::Connects => "connects",
            Self::Requests => "requests",
            Self::Messages => "messages",
            Self::Bytes => "bytes",
            Self::Ledger => "ledger",
            Self::Codes => "codes",
            Self::Cpu => "cpu",
        }
    }
}
