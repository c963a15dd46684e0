use clap::ValueEnum;

use super::growth::Options;
use crate::{
    load::{MAX_RATE, MEMBERS},
    servers::DeploymentOptions,
};

/// Sockets of a sweep over the size of rooms.
const SOCKETS: u32 = 1_000;

/// Changes a second of a room, if there can be more rooms instead.
const ROOM_RATE: u32 = 50;

/// What grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum What {
    /// Idle sockets: memory and CPU of each
    Sockets,
    /// Rooms, at the same rate in all of them together
    Rooms,
    /// Members of a room, at the same deliveries a second in all rooms together
    Members,
    /// Nodes of a cluster, beside a node without Redis
    Nodes,
    /// Masters of a Redis Cluster, beside a single Redis
    Shards,
}

impl What {
    /// The name to show.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Sockets => "sockets",
            Self::Rooms => "rooms",
            Self::Members => "members",
            Self::Nodes => "nodes",
            Self::Shards => "masters",
        }
    }

    fn sizes(self) -> &'static [u32] {
        match self {
            Self::Sockets => &[1_000, 2_000, 4_000, 8_000, 16_000],
            // With two members each, one process can open the sockets.
            Self::Rooms => &[100, 300, 1_000, 3_000, 9_000],
            Self::Members => &[2, 5, 10, 20, 50, 100, 200, 500],
            Self::Nodes => &[1, 2, 3, 4, 6, 8],
            Self::Shards => &[1, 2, 3],
        }
    }
}

/// One point of a sweep.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Point {
    /// The size, and what is special about the servers.
    pub(super) name: String,
    pub(super) servers: Servers,
    pub(super) rooms: u32,
    pub(super) members: u32,
    /// Changes a second in all rooms together.
    pub(super) per_second: u64,
}

/// The servers of a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Servers {
    /// As the options say.
    Given,
    /// One node without Redis.
    Alone,
    /// So many nodes with Redis.
    Cluster(u32),
    /// So many masters of a Redis Cluster, or a single Redis.
    Masters(Option<u32>),
}

impl Servers {
    /// The options for these servers.
    pub(super) fn options(self, given: DeploymentOptions) -> DeploymentOptions {
        match self {
            Self::Given => given,
            Self::Alone => given.with_nodes(1),
            Self::Cluster(nodes) => given.with_nodes(nodes).with_redis(None),
            Self::Masters(masters) => given.with_redis(masters),
        }
    }

    /// Nodes by default.
    pub(super) fn nodes(self) -> u32 {
        if matches!(self, Self::Masters(_)) { 2 } else { 1 }
    }
}

impl Point {
    /// Whether a sender would have to send more than it may.
    pub(super) fn is_too_fast(&self) -> bool {
        self.per_second > u64::from(self.rooms) * u64::from(MAX_RATE)
    }
}

impl Options {
    /// All points, from the smallest on.
    pub(super) fn points(&self) -> Vec<Point> {
        let mut sizes = if self.points.is_empty() { self.what.sizes().to_vec() } else { self.points.clone() };
        sizes.sort_unstable();
        let beside = match self.what {
            What::Nodes => Some(("1 alone", Servers::Alone)),
            What::Shards => Some(("single Redis", Servers::Masters(None))),
            _ => None,
        };
        let beside = beside.map(|(name, servers)| Point { name: name.to_owned(), servers, ..self.point(1) });
        beside.into_iter().chain(sizes.into_iter().map(|size| self.point(size))).collect()
    }

    fn point(&self, size: u32) -> Point {
        let mut members = self.members.unwrap_or(if self.what == What::Rooms { 2 } else { MEMBERS });
        let (mut rooms, mut servers) = (self.rooms, Servers::Given);
        match self.what {
            What::Sockets => rooms = size.div_ceil(members),
            What::Rooms => rooms = size,
            What::Members => {
                members = size.max(2);
                // With more rooms, nobody has to send more than it may.
                rooms = (SOCKETS / members).max(self.deliveries.div_ceil(members).div_ceil(ROOM_RATE)).max(1);
            }
            What::Nodes => servers = Servers::Cluster(size),
            What::Shards => servers = Servers::Masters(Some(size)),
        }
        let per_second = self.deliveries.div_ceil(members).max(1).into();
        Point { name: size.to_string(), servers, rooms, members, per_second }
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, Command, FromArgMatches as _};

    use super::*;

    fn points(arguments: &str) -> Vec<Point> {
        let command = Options::augment_args(Command::new("growth").no_binary_name(true));
        let matches = command.try_get_matches_from(arguments.split_ascii_whitespace()).unwrap();
        Options::from_arg_matches(&matches).unwrap().points()
    }

    #[test]
    fn nobody_is_asked_to_send_more_than_it_may() {
        let fast = |arguments: &str| points(arguments).iter().map(Point::is_too_fast).collect::<Vec<_>>();
        assert_eq!(fast("--what rooms --points 2000,23,10 --deliveries 4000"), [true, false, false]);
        for what in ["rooms", "members", "nodes", "shards"] {
            assert!(!fast(&format!("--what {what}")).contains(&true), "{what}");
        }
    }

    #[test]
    fn rooms_of_every_size_have_as_many_deliveries() {
        let points = points("--what members --deliveries 4000");
        assert_eq!(points.len(), 8);
        for point in points {
            let deliveries = point.per_second * u64::from(point.members);
            assert!((4_000..4_500).contains(&deliveries), "{point:?}");
            assert!(point.per_second <= u64::from(point.rooms * ROOM_RATE), "{point:?}");
        }
    }

    #[test]
    fn clusters_are_beside_a_node_alone_and_shards_beside_a_single_redis() {
        let servers = |arguments| points(arguments).iter().map(|point| point.servers).collect::<Vec<_>>();
        let nodes = servers("--what nodes --points 3,1");
        assert_eq!(nodes, [Servers::Alone, Servers::Cluster(1), Servers::Cluster(3)]);
        assert_eq!(servers("--what shards --points 2"), [Servers::Masters(None), Servers::Masters(Some(2))]);
        assert_eq!(points("--what sockets --points 10")[0].rooms, 3);
    }
}
