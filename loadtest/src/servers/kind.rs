use crate::client::Peer;

/// A kind of server that the benchmark compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Several nodes of tandem with Redis.
    Cluster,
    /// The same, whose clients ask for the feature `resume`.
    ClusterResume,
    /// One node of tandem without Redis.
    Tandem,
    /// The bare relay.
    Relay,
    /// Bare sockets in one process, the least that a message can cost.
    Floor,
    /// Socket.IO with its Redis adapter.
    SocketIo,
    /// Centrifugo: one node with its memory engine, or several with its Redis engine.
    Centrifugo,
    /// The same with history and recovery for every channel.
    CentrifugoHistory,
}

impl Kind {
    /// The name to show, and the prefix of its figures.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::ClusterResume => "cluster+resume",
            Self::Tandem => "tandem",
            Self::Relay => "relay",
            Self::Floor => "floor",
            Self::SocketIo => "socket.io",
            Self::Centrifugo => "centrifugo",
            Self::CentrifugoHistory => "centrifugo+history",
        }
    }

    pub(crate) fn peer(self) -> Peer {
        match self {
            Self::Cluster | Self::ClusterResume | Self::Tandem => Peer::Tandem,
            Self::Relay | Self::Floor => Peer::Relay,
            Self::SocketIo => Peer::SocketIo,
            Self::Centrifugo | Self::CentrifugoHistory => Peer::Centrifugo,
        }
    }

    /// Whether it is a cluster of tandem.
    pub(crate) fn is_cluster(self) -> bool {
        matches!(self, Self::Cluster | Self::ClusterResume)
    }
}
