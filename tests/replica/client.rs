use serde_json::Value;
use tandem::{
    id::{ConnId, UserId},
    protocol::Close,
    room::StreamPosition,
};

/// What a client has been told on one connection.
#[derive(Debug)]
pub struct Client {
    pub user: UserId,
    pub number: u8,
    pub conn: ConnId,
    pub node: usize,
    pub modern: bool,
    pub resumed_from: Option<StreamPosition>,
    pub frames: Vec<Value>,
    pub closed: Option<Close>,
    pub entered: bool,
}

impl Client {
    /// The last position that it has seen.
    pub fn seen(&self) -> Option<StreamPosition> {
        let mut seen = self.resumed_from;
        for frame in &self.frames {
            if let (Some(epoch), Some(version)) = (frame["epoch"].as_u64(), frame["version"].as_u64()) {
                // RESUMED has the version at which the session begins; the missed frames follow it.
                if frame["type"] != "RESUMED" {
                    seen = Some(StreamPosition { epoch, version });
                }
            }
        }
        seen
    }
}
