use std::sync::Arc;

use crate::{
    backend::ports::partition_of,
    id::{NodeId, RoomId, UserId},
};

/// The names of all keys and channels. Those of a room have the hash tag of its partition, so that one script can access all of them, also
/// in a Redis Cluster.
#[derive(Debug, Clone)]
pub struct Layout {
    prefix: String,
    partitions: u16,
    /// For each partition the prefix and the hash tag.
    begins: Arc<[Box<str>]>,
    /// The part of channel names that names the database, because all databases of a server share channels. Empty for database 0.
    database: String,
}

impl Layout {
    /// All keys begin with `prefix`; `partitions` is a power of two.
    pub fn new(prefix: &str, partitions: u16) -> Self {
        let partitions = partitions.max(1);
        let begins = (0..partitions).map(|partition| format!("{prefix}{{{partition}}}").into()).collect();
        Self { prefix: prefix.to_owned(), partitions, begins, database: String::new() }
    }

    /// The layout for this database.
    #[must_use]
    pub fn on(self, database: i64) -> Self {
        Self { database: if database == 0 { String::new() } else { format!("@{database}") }, ..self }
    }

    /// The number of partitions.
    pub fn partitions(&self) -> u16 {
        self.partitions
    }

    /// The partition of a room.
    pub fn partition(&self, room: &RoomId) -> u16 {
        partition_of(room, self.partitions)
    }

    // Every change needs some of these names, so they are put together and not formatted.

    /// The begin of all names of a partition.
    fn begin(&self, partition: u16) -> &str {
        // Partitions are counted by the same number as these.
        self.begins.get(usize::from(partition)).map_or("", |begin| begin)
    }

    fn of(&self, partition: u16, what: &str) -> String {
        [self.begin(partition), ":", what].concat()
    }

    fn of_room(&self, room: &RoomId, what: &str) -> String {
        [self.begin(self.partition(room)), ":", what, ":", room.as_str()].concat()
    }

    /// What a key of a partition is, and the rest of its name: `("room", "film night")`.
    pub fn kind_of<'a>(&self, key: &'a str) -> Option<(&'a str, &'a str)> {
        let (_, rest) = key.strip_prefix(&self.prefix)?.strip_prefix('{')?.split_once("}:")?;
        Some(rest.split_once(':').unwrap_or((rest, "")))
    }

    /// Hash: a room, with a field for each member.
    pub fn room(&self, room: &RoomId) -> String {
        self.of_room(room, "room")
    }

    /// Channel: the updates of a room.
    pub fn channel(&self, room: &RoomId) -> String {
        [self.begin(self.partition(room)), &self.database, ":room:", room.as_str()].concat()
    }

    /// The room that a channel belongs to.
    pub fn room_of_channel<'a>(&self, channel: &'a str) -> Option<&'a str> {
        let (partition, rest) = channel.strip_prefix(&self.prefix)?.strip_prefix('{')?.split_once('}')?;
        let room = rest.strip_prefix(&self.database)?.strip_prefix(":room:")?;
        partition.bytes().all(|byte| byte.is_ascii_digit()).then_some(room)
    }

    /// List: the last updates of a room, for resumes.
    pub fn history(&self, room: &RoomId) -> String {
        self.of_room(room, "history")
    }

    /// List: signals for a member that is away. The length of the room's name keeps `a:b` with `c` apart from `a` with `b:c`.
    pub fn inbox(&self, room: &RoomId, user: &UserId) -> String {
        let length = room.as_str().len();
        format!("{}{{{}}}:inbox:{length}:{room}:{user}", self.prefix, self.partition(room))
    }

    /// Stream: the ledger entries, each in the field `e`.
    pub fn events(&self, partition: u16) -> String {
        self.of(partition, "events")
    }

    /// Sorted set: when rooms are due.
    pub fn due(&self, partition: u16) -> String {
        self.of(partition, "due")
    }

    /// String: the server and the time until which nodes compare their rooms with it.
    pub fn comparing(&self, partition: u16) -> String {
        self.of(partition, "comparing")
    }

    /// Channel: the probes of a connection of a node.
    pub fn probe(&self, partition: u16, node: &NodeId, connection: &str) -> String {
        format!("{}{}:probe:{node}:{connection}", self.begin(partition), self.database)
    }

    /// Key: where the probes of a link try the commands of nodes.
    pub fn probed(&self, partition: u16, node: &NodeId, link: usize, kind: &str) -> String {
        self.of(partition, &format!("probed:{node}:{link}:{kind}"))
    }

    /// Sorted set: the leases of nodes, by the clock of Redis.
    pub fn nodes(&self) -> String {
        format!("{}nodes", self.prefix)
    }

    /// Hash: the highest version of records that each node reads and, in the field with the empty name, the highest that is written. It is
    /// in the slot of [`nodes`](Self::nodes), so that one script can access both.
    pub fn formats(&self) -> String {
        format!("{}formats{{{}}}", self.prefix, self.nodes())
    }

    /// Set: the rooms that a node has.
    pub fn held(&self, node: &NodeId) -> String {
        format!("{}{{node:{node}}}:rooms", self.prefix)
    }

    /// Channel: signals for members on a node.
    pub fn node(&self, node: &NodeId) -> String {
        format!("{}{{node:{node}}}{}", self.prefix, self.database)
    }

    /// String: the process that has the name of a node.
    pub fn process(&self, node: &NodeId) -> String {
        format!("{}{{node:{node}}}:process", self.prefix)
    }

    /// String: the node that reaps a dead node.
    pub fn reaper(&self, node: &NodeId) -> String {
        format!("{}{{node:{node}}}:reaper", self.prefix)
    }

    /// String: the room of a short code.
    pub fn code(&self, code: &str) -> String {
        format!("{}code:{code}", self.prefix)
    }

    /// Stream: the log of revocations.
    pub fn revocations(&self) -> String {
        format!("{}revocations", self.prefix)
    }

    /// Set: who has used an invitation, each as a keyed hash.
    pub fn uses(&self, invitation: &str) -> String {
        format!("{}uses:{invitation}", self.prefix)
    }

    /// String: the settings that all nodes of a deployment must share.
    pub fn deployment(&self) -> String {
        format!("{}deployment", self.prefix)
    }

    /// The value of [`deployment`](Self::deployment) for a secret with this fingerprint.
    pub fn common(&self, fingerprint: &str) -> String {
        format!("{}:{fingerprint}", self.partitions)
    }

    /// The fingerprint in a value of [`deployment`](Self::deployment), if its number of partitions is the same.
    pub fn fits<'a>(&self, common: &'a str) -> Option<&'a str> {
        let (partitions, fingerprint) = common.split_once(':')?;
        (partitions.parse() == Ok(self.partitions)).then_some(fingerprint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_channel_of_one_database_is_one_of_another() {
        let (room, node) = (RoomId::parse("r").unwrap(), NodeId::parse("n").unwrap());
        let mut seen = std::collections::HashSet::new();
        for (prefix, database) in
            [("t:", 0), ("t:", 1), ("t:", 10), ("t:", 15), ("t", 0), ("t:@1", 0), ("t:1", 0), ("", 1)]
        {
            let layout = Layout::new(prefix, 16).on(database);
            for channel in [layout.channel(&room), layout.node(&node), layout.probe(3, &node, "0.1")] {
                assert!(channel.starts_with(prefix), "an ACL may name it");
                assert!(seen.insert(channel.clone()), "{channel}");
            }
            assert_eq!(layout.room_of_channel(&layout.channel(&room)), Some("r"));
            assert_eq!(layout.room(&room), Layout::new(prefix, 16).room(&room), "keys are apart by themselves");
        }
        let (one, ten) = (Layout::new("t:", 16).on(1), Layout::new("t:", 16).on(10));
        assert_eq!(one.room_of_channel(&ten.channel(&room)), None);
        assert_eq!(Layout::new("t:", 16).room_of_channel(&ten.channel(&room)), None);
    }

    #[test]
    fn names_are_apart_and_fixed() {
        let layout = Layout::new("t:", 16);
        let room = |name: &str| RoomId::parse(name).unwrap();
        let user = |name: &str| UserId::parse(name).unwrap();
        assert_eq!(layout.room(&room("film-night")), "t:{8}:room:film-night", "never to change");
        assert_eq!(layout.room_of_channel(&layout.room(&room("a}:room:b"))), Some("a}:room:b"));
        assert_eq!(layout.room_of_channel("t:{5}:probe:x"), None);
        assert_eq!(layout.channel(&room("film-night")), "t:{8}:room:film-night", "as before there were databases");
        assert_eq!(layout.room_of_channel(&layout.channel(&room("x"))), Some("x"));
        assert_ne!(layout.inbox(&room("a:b"), &user("c")), layout.inbox(&room("a"), &user("b:c")));
        let spread: std::collections::HashSet<_> = (0..200).map(|n| layout.partition(&room(&n.to_string()))).collect();
        assert_eq!(spread.len(), 16);
    }
}
