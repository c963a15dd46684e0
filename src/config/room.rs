use std::time::Duration;

use clap::Args;

use super::parse;
use crate::{
    clock::millis,
    room::{Policy, UrlHosts},
};

/// The rules of rooms; the same on every node.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Room")]
pub struct RoomConfig {
    /// How long the seat of a dropped client that can resume is kept, in seconds
    #[arg(long = "resume-window-seconds", env = "RESUME_WINDOW_SECONDS", default_value = "30", value_parser = parse::seconds)]
    pub resume_window: Duration,
    /// How long a host that dropped keeps its role, in seconds
    #[arg(long = "host-grace-seconds", env = "HOST_GRACE_SECONDS", default_value = "15", value_parser = parse::seconds)]
    pub host_grace: Duration,
    /// How long an empty room is kept with its PIN, url, position and code, in seconds
    #[arg(long = "empty-room-seconds", env = "EMPTY_ROOM_SECONDS", default_value = "180", value_parser = parse::seconds)]
    pub empty_room: Duration,
    /// How long the room waits for its members to load after a seek, in seconds
    #[arg(long = "ready-gate-seconds", env = "READY_GATE_SECONDS", default_value = "7", value_parser = parse::seconds)]
    pub ready_gate: Duration,
    /// Maximum number of members of a room
    #[arg(long = "room-max-members", env = "ROOM_MAX_MEMBERS", default_value = "500", value_parser = parse::count)]
    pub room_max_members: usize,
    /// Maximum number of rooms on this node
    #[arg(long = "max-rooms", env = "MAX_ROOMS", default_value = "100000", value_parser = parse::count)]
    pub max_rooms: usize,
    /// Maximum number of bytes, over all rooms, of the recent changes that a node without Redis keeps for those who come back [default: a
    /// sixteenth of the memory that the process may use, or 67108864 where that is not known]; beyond it the longest histories lose their
    /// oldest
    #[arg(long = "history-bytes", env = "HISTORY_BYTES", value_parser = parse::count)]
    pub history_bytes: Option<usize>,
    /// Whether only hosts, co-hosts and (while guest control is on) guests may move playback
    #[arg(long = "enforce-control", env = "ENFORCE_CONTROL", default_value_t = true, action = clap::ArgAction::Set)]
    pub enforce_control: bool,
    /// Hosts that URL_CHANGE may lead to, comma-separated, with their subdomains; empty allows all. The test picture and the local files of the page are always allowed
    #[arg(long = "url-hosts", env = "URL_HOSTS", value_delimiter = ',', value_parser = parse::host)]
    pub url_hosts: Vec<String>,
}

impl RoomConfig {
    /// The rules as the core takes them. `public_host` is the host of `PUBLIC_URL`.
    pub fn policy(&self, public_host: Option<&str>) -> Policy {
        Policy {
            resume_window: millis(self.resume_window),
            host_grace: millis(self.host_grace),
            empty_grace: millis(self.empty_room),
            gate_deadline: millis(self.ready_gate),
            max_members: self.room_max_members,
            enforce_control: self.enforce_control,
            url_hosts: UrlHosts::new(&self.url_hosts, public_host),
        }
    }
}
