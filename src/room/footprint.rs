/// What of a room's record a change replaces, beside its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Footprint {
    /// Nothing.
    Nothing,
    /// The whole playback: the timeline, and the gate, of which there is none afterwards.
    Playback,
    /// Something else.
    Room,
}
