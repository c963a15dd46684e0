//! Text to typed messages and back. `docs/protocol.md` is the reference; `schema/frames.schema.json` the test.

mod announce;
mod close;
mod code;
mod decode;
mod ice;
mod kind;
mod number;
mod server;
mod snapshot;

pub use announce::{Audience, Stamp, announce};
pub use close::Close;
pub use code::Code;
pub use decode::{ClientMessage, Inbound, JoinFrame, Malformed, ResumeFrame, Signal, Whisper, decode};
pub use ice::IceServer;
pub use kind::{Received, Sent};
pub use server::{Frame, Line, ServerFrame, SignalFrame, Standing, encode, unencodable};
pub use snapshot::{RoomState, RoomStateParts};

/// The largest frame that is understood, in bytes. What first-generation clients send stays well below.
pub const MAX_MESSAGE_BYTES: usize = 65_536;

/// Frames over this many bytes are not even read: the socket is closed with 1009.
pub const MAX_TRANSPORT_BYTES: usize = 4 * MAX_MESSAGE_BYTES;
