use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap as _};
use serde_json::value::RawValue;

use super::{ServerFrameType, check, decode::read};
use crate::{id::UserId, room::Json};

/// A signal: a frame that the server relays to one member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "docs/protocol.md has them")]
pub enum SignalKind {
    Offer,
    Answer,
    IceCandidate,
    Renegotiate,
    Bye,
    PlaybackAck,
}

impl SignalKind {
    /// The field with its payload, if it has one.
    pub const fn payload_field(self) -> Option<&'static str> {
        match self {
            Self::Offer => Some("offer"),
            Self::Answer => Some("answer"),
            Self::IceCandidate => Some("candidate"),
            Self::PlaybackAck => Some("control"),
            Self::Renegotiate | Self::Bye => None,
        }
    }

    /// Whether a payload has the JSON type of this kind.
    fn accepts(self, payload: &RawValue) -> bool {
        let text = payload.get();
        match self {
            Self::Offer | Self::Answer => text.starts_with('{'),
            Self::IceCandidate => text.starts_with('{') || text == "null",
            Self::PlaybackAck => matches!(text, "\"play\"" | "\"pause\""),
            Self::Renegotiate | Self::Bye => false,
        }
    }
}

impl From<SignalKind> for ServerFrameType {
    fn from(kind: SignalKind) -> Self {
        match kind {
            SignalKind::Offer => Self::Offer,
            SignalKind::Answer => Self::Answer,
            SignalKind::IceCandidate => Self::IceCandidate,
            SignalKind::Renegotiate => Self::Renegotiate,
            SignalKind::Bye => Self::Bye,
            SignalKind::PlaybackAck => Self::PlaybackAck,
        }
    }
}

/// A signal of a client. It is relayed unchanged, except that the server sets the sender.
#[derive(Debug)]
pub struct Signal {
    /// The kind of the signal.
    pub kind: SignalKind,
    /// The payload, from the field [`SignalKind::payload_field`].
    pub payload: Option<Json>,
    /// The target.
    pub to: UserId,
    /// Relayed unchanged.
    pub negotiation_id: Option<Json>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Directed {
    to: UserId,
    #[serde(default, deserialize_with = "check::present")]
    offer: Option<Json>,
    #[serde(default, deserialize_with = "check::present")]
    answer: Option<Json>,
    #[serde(default, deserialize_with = "check::present")]
    candidate: Option<Json>,
    #[serde(default, deserialize_with = "check::present")]
    control: Option<Json>,
    #[serde(default, deserialize_with = "check::label")]
    negotiation_id: Option<Json>,
}

impl Signal {
    /// Decodes a signal. Of its payload only the type is checked.
    pub(super) fn read(kind: SignalKind, text: &str) -> Result<Self, String> {
        let frame: Directed = read(text)?;
        let Directed { to, offer, answer, candidate, control, negotiation_id } = frame;
        let payload = match kind {
            SignalKind::Offer => offer,
            SignalKind::Answer => answer,
            SignalKind::IceCandidate => candidate,
            SignalKind::PlaybackAck => control,
            SignalKind::Renegotiate | SignalKind::Bye => None,
        };
        if let Some(field) = kind.payload_field() {
            let payload = payload.as_ref().ok_or_else(|| format!("missing field `{field}`"))?;
            if !kind.accepts(&payload.0) {
                return Err(format!("{field}: invalid type"));
            }
        }
        Ok(Self { kind, payload, to, negotiation_id })
    }
}

/// A signal as the target gets it.
#[derive(Debug)]
#[allow(missing_docs, reason = "docs/protocol.md has the table")]
pub struct SignalFrame<'a> {
    pub kind: SignalKind,
    pub from: &'a UserId,
    pub to: &'a UserId,
    pub payload: Option<&'a RawValue>,
    pub negotiation_id: Option<&'a Json>,
    pub node_id: &'a str,
    pub signal_id: &'a str,
}

impl Serialize for SignalFrame<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let mut map = out.serialize_map(None)?;
        map.serialize_entry("type", ServerFrameType::from(self.kind).as_str())?;
        map.serialize_entry("from", self.from)?;
        map.serialize_entry("userId", self.from)?;
        map.serialize_entry("to", self.to)?;
        if let (Some(field), Some(value)) = (self.kind.payload_field(), self.payload) {
            map.serialize_entry(field, value)?;
        }
        if let Some(id) = self.negotiation_id {
            map.serialize_entry("negotiationId", id)?;
        }
        map.serialize_entry("nodeId", self.node_id)?;
        map.serialize_entry("signalId", self.signal_id)?;
        map.end()
    }
}
