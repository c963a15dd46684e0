//! The names of the room, its users and the nodes.

use tandem::{
    id::{NodeId, RoomId, UserId},
    room::Digest,
};

pub const ROOM: &str = "r";
pub const NODES: usize = 3;
pub const USERS: u8 = 4;

pub fn room_id() -> RoomId {
    RoomId::parse(ROOM).unwrap()
}

pub fn user(number: u8) -> UserId {
    UserId::parse(&format!("u{number}")).unwrap()
}

pub fn node_name(number: usize) -> NodeId {
    NodeId::parse(&format!("n{number}")).unwrap()
}

pub fn digest(number: u8) -> Digest {
    Digest::new([number; 32])
}
