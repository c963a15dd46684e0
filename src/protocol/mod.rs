//! Text to typed messages and back. `docs/protocol.md` is the reference; `schema/frames.schema.json` the test.

mod announce;
mod check;
mod client;
mod close;
mod code;
mod confidential;
mod decode;
mod frame;
mod frame_type;
mod ice;
mod legacy;
mod message;
mod number;
mod server;
mod signal;
mod snapshot;

pub use announce::{Announcement, Audience, RoomFrame, Stamp, announce};
pub use client::ClientFrameType;
pub use close::Close;
pub use code::Code;
pub use confidential::Confidential;
pub use decode::{Inbound, Malformed, decode};
pub use frame::{Frame, encode, unencodable};
pub use frame_type::{Received, ServerFrameType};
pub use ice::IceServer;
pub use legacy::Generation;
pub use message::{ClientMessage, DirectMessage, Hello, JoinFrame, MemberMessage, ResumeFrame};
pub use server::{BannedUser, Line, ServerFrame, Standing};
pub use signal::{Signal, SignalFrame, SignalKind};
pub use snapshot::{RoomState, RoomStateParts};

/// The maximum size of a frame that is decoded, in bytes. Frames of first-generation clients are much smaller.
pub const MAX_MESSAGE_BYTES: usize = 65_536;

/// The maximum size of a frame that is read, in bytes; beyond it the socket is closed with 1009.
pub const MAX_TRANSPORT_BYTES: usize = 4 * MAX_MESSAGE_BYTES;
