use super::{Load, Options, What};
use crate::fleet::{BUSIEST, MEMBERS};

/// One point.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    /// The line that it belongs to.
    pub(super) line: &'static str,
    /// The size.
    pub(super) at: u32,
    /// On which servers.
    pub(super) servers: Servers,
    /// What happens there.
    pub(super) act: Act,
}

/// The servers of a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Servers {
    /// As they were asked for.
    Asked,
    /// One node, and no Redis.
    Alone,
    /// So many nodes with Redis.
    Cluster(u32),
    /// Nodes as they were asked for, with so many masters of a Redis Cluster, or a single Redis.
    Masters(Option<u32>),
}

/// The load of a point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Act {
    /// Of which kind.
    pub(super) load: Load,
    /// Rooms.
    pub(super) rooms: u32,
    /// Members of each.
    pub(super) members: u32,
    /// Changes a second in all rooms together.
    pub(super) per_second: u64,
}

impl Act {
    /// Whether a member would send more than it may.
    pub(super) fn is_too_much(&self) -> bool {
        self.load == Load::Control && self.per_second > u64::from(self.rooms) * u64::from(BUSIEST)
    }
}

/// Sockets of a sweep over the size of rooms.
const CROWD: u32 = 1_000;

/// Changes a second of a room, where there may be more rooms instead.
const BUSY: u32 = 50;

impl What {
    fn sizes(self) -> &'static [u32] {
        match self {
            Self::Sockets => &[1_000, 2_000, 4_000, 8_000, 16_000],
            // Two members each: what one process may have open.
            Self::Rooms => &[100, 300, 1_000, 3_000, 9_000],
            Self::Members => &[2, 5, 10, 20, 50, 100, 200, 500],
            Self::Nodes => &[1, 2, 3, 4, 6, 8],
            Self::Shards => &[1, 2, 3],
        }
    }

    /// What its points are about.
    pub(super) fn load(self) -> Load {
        if matches!(self, Self::Sockets) { Load::Idle } else { Load::Control }
    }
}

impl Options {
    /// All points, from the smallest on.
    pub(super) fn steps(&self) -> Vec<Step> {
        let sizes = if self.points.is_empty() { self.what.sizes().to_vec() } else { self.points.clone() };
        let mut steps: Vec<Step> = sizes.into_iter().map(|at| self.step(at)).collect();
        steps.sort_by_key(|step| step.at);
        let beside = match self.what {
            What::Nodes => Some(("alone", Servers::Alone)),
            What::Shards => Some(("single Redis", Servers::Masters(None))),
            _ => None,
        };
        if let Some((line, servers)) = beside {
            steps.insert(0, Step { line, servers, ..self.step(1) });
        }
        steps
    }

    fn step(&self, at: u32) -> Step {
        let usual = if self.what == What::Rooms { 2 } else { MEMBERS };
        let mut members = self.members.unwrap_or(usual);
        let mut rooms = self.rooms;
        let mut servers = Servers::Asked;
        match self.what {
            What::Sockets => rooms = at.div_ceil(members),
            What::Rooms => rooms = at,
            What::Members => {
                members = at.max(2);
                rooms = (CROWD / members).max(1);
            }
            What::Nodes => servers = Servers::Cluster(at),
            What::Shards => servers = Servers::Masters(Some(at)),
        }
        // Nobody may send more than it is allowed to: then there are more rooms.
        let per_second = self.deliveries.div_ceil(members).max(1);
        rooms = if self.what == What::Members { rooms.max(per_second.div_ceil(BUSY)) } else { rooms };
        let act = Act { load: self.what.load(), rooms, members, per_second: per_second.into() };
        Step { line: "", at, servers, act }
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, Command, FromArgMatches as _};

    use super::*;

    fn steps(arguments: &str) -> Vec<Step> {
        let command = Options::augment_args(Command::new("growth").no_binary_name(true));
        let matches = command.try_get_matches_from(arguments.split_ascii_whitespace()).unwrap();
        Options::from_arg_matches(&matches).unwrap().steps()
    }

    #[test]
    fn nobody_is_asked_for_more_than_it_may_send() {
        let busy = |arguments: &str| steps(arguments).iter().map(|step| step.act.is_too_much()).collect::<Vec<_>>();
        assert_eq!(busy("--what rooms --points 10,23,2000 --deliveries 4000"), [true, false, false]);
        for what in ["sockets", "rooms", "members", "nodes", "shards"] {
            assert!(!busy(&format!("--what {what}")).contains(&true), "{what}");
        }
    }

    #[test]
    fn every_size_of_room_has_as_many_deliveries() {
        let steps = steps("--what members --deliveries 4000");
        assert_eq!(steps.len(), 8);
        for Step { at, act, .. } in steps {
            let deliveries = act.per_second * u64::from(act.members);
            assert!((4_000..4_500).contains(&deliveries), "{at}: {deliveries}");
            assert!(act.per_second <= u64::from(act.rooms * BUSY) && act.members == at, "{act:?}");
        }
    }

    #[test]
    fn more_rooms_share_the_same_rate() {
        let steps = steps("--what rooms --points 3000,100 --deliveries 1000");
        let acts: Vec<_> = steps.iter().map(|it| (it.at, it.act.rooms, it.act.members, it.act.per_second)).collect();
        assert_eq!(acts, [(100, 100, 2, 500), (3_000, 3_000, 2, 500)]);
    }

    #[test]
    fn clusters_are_compared_with_one_alone_and_shards_with_a_single_redis() {
        let nodes = steps("--what nodes --points 1,3");
        let servers: Vec<_> = nodes.iter().map(|it| (it.line, it.servers)).collect();
        assert_eq!(servers, [("alone", Servers::Alone), ("", Servers::Cluster(1)), ("", Servers::Cluster(3))]);
        assert!(nodes.iter().all(|it| it.act == nodes[0].act));
        let shards = steps("--what shards --points 2");
        let servers: Vec<_> = shards.iter().map(|it| (it.at, it.servers)).collect();
        assert_eq!(servers, [(1, Servers::Masters(None)), (2, Servers::Masters(Some(2)))]);
    }

    #[test]
    fn idle_sockets_are_in_whole_rooms() {
        let steps = steps("--what sockets --points 10 --members 4");
        assert_eq!((steps[0].act.load, steps[0].act.rooms), (Load::Idle, 3));
    }
}
