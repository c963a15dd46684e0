/// The clock that the clock of this node is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Against {
    /// The clock of the machine.
    System,
    /// The clock of Redis, which the nodes of a cluster follow.
    Redis,
}

impl Against {
    /// Its name in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Redis => "redis",
        }
    }
}
