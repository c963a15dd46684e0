use std::time::Duration;

use super::client::{Client, Open};
use crate::record::Event;

/// How a conversation ended.
pub(super) enum Over {
    Closed(Option<u16>),
    Silence,
    Refused,
    Dropped,
    Vanished,
    Overlapped,
    /// It was refused for a reason that lasts.
    ShutOut,
}

impl Over {
    /// Ends the socket. Returns how long the client waits before it comes back, in milliseconds.
    pub(super) fn part(self, open: Open, client: &mut Client) -> u64 {
        let code = if let Self::Closed(code) = self { code } else { None };
        client.record.add(Event::Shut { line: open.line, code });
        match self {
            Self::Vanished | Self::Silence => open.socket.vanish(),
            Self::Overlapped => open.socket.linger(Duration::from_millis(client.dice.between(100, 15_000))),
            Self::Dropped if client.dice.percent(40) => open.socket.close(),
            _ => drop(open),
        }
        match code {
            // Some clients stay away until their seat is gone.
            Some(1000 | 4503) => 3_000 + client.dice.between(0, 17_000),
            _ if matches!(self, Self::Overlapped) => 1,
            _ if matches!(self, Self::ShutOut) => 1_000 + client.dice.between(0, 5_000),
            _ if client.dice.percent(15) => 3_000 + client.dice.between(0, 22_000),
            _ => 200,
        }
    }
}
