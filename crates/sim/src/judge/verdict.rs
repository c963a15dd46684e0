/// What can be wrong with a story.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Crime {
    /// Frames of a room did not come in the order of their versions.
    Order,
    /// A member was not told of something.
    Lost,
    /// A member was told something twice, or what never happened.
    Invented,
    /// Something was acknowledged and did not happen, or was lost.
    Forgotten,
    /// Something happened twice.
    Twice,
    /// Somebody is shown who is not there.
    Ghost,
    /// There are two hosts, or none though somebody is there.
    Hosts,
    /// A client believes that it is in a room and is not, or cannot come back in.
    Seat,
    /// A seat that was kept for a client was not there when it came back.
    KeptSeat,
    /// Copies of a room differ when all is quiet.
    Replicas,
    /// The ledger lacks an event, or has one that never was.
    Ledger,
    /// The program panicked.
    Panic,
    /// The same seed gave another story.
    Unsteady,
    /// Signals came in another order, twice, or not at all though they were kept.
    Signals,
    /// Somebody came in who was shut out, or somebody decided about it who may not.
    Doors,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub crime: Crime,
    pub at: u64,
    pub what: String,
}
