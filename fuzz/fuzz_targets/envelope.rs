//! What the server makes of a frame for its receivers: whoever sent it is named by the server, whatever the frame says.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tandem::{
    id::{NodeId, UserId},
    protocol::{
        Audience, ClientMessage, DirectMessage, Frame, Inbound, MemberMessage, ServerFrame, SignalFrame, Stamp,
        announce, decode, encode,
    },
    room::{Action, Change},
};
use tandem_fuzz::json;

fn sender() -> UserId {
    UserId::parse("the sender").unwrap()
}

/// The frame names its sender, where it names one at all.
fn check(frame: &Frame) {
    json::check(frame);
    let Ok(value) = serde_json::from_str::<Value>(frame) else { return };
    for field in ["from", "userId"] {
        assert!(value.get(field).is_none_or(|name| name == "the sender"), "{frame}");
    }
}

fuzz_target!(|text: &str| {
    let by = sender();
    let inbound = match decode(text) {
        Ok(inbound) => inbound,
        Err(error) => {
            let answer = ServerFrame::Error {
                code: error.code,
                message: &error.message,
                retryable: false,
                retry_after_ms: None,
                id: error.id.as_ref(),
            };
            return json::check(&encode(&answer));
        }
    };
    let Inbound { id, message, .. } = inbound;
    if let Some(id) = &id {
        json::check(&encode(&ServerFrame::Ack { id, version: 1 }));
    }
    match message {
        ClientMessage::Ping { t0 } => json::check(&encode(&ServerFrame::Pong { timestamp: 1, t0, t1: None, t2: None })),
        ClientMessage::Member(MemberMessage::Signal(signal)) => {
            let node = NodeId::parse("n1").unwrap();
            check(&encode(&ServerFrame::Signal(SignalFrame {
                kind: signal.kind,
                from: &by,
                to: &signal.to,
                payload: signal.payload.as_ref().map(|payload| &*payload.0),
                negotiation_id: signal.negotiation_id.as_ref(),
                node_id: node.as_str(),
                signal_id: "s1",
            })));
        }
        ClientMessage::Member(MemberMessage::DirectMessage(DirectMessage { event, data, to })) => {
            check(&encode(&ServerFrame::DirectMessage {
                user_id: &by,
                event: &event,
                data: data.as_ref(),
                to: &to,
                timestamp: 1,
            }));
        }
        ClientMessage::Member(MemberMessage::Act(action)) => {
            let change = match action {
                Action::Broadcast { event, data } => Change::Broadcast { by: by.clone(), event, data },
                Action::Rename { username } => Change::Renamed { user: by.clone(), username },
                _ => return,
            };
            announce(&change, Stamp { epoch: 1, version: 2, timestamp: 3 }, |audience, frame| {
                assert_eq!(audience, Audience::All);
                check(&encode(&frame));
            });
        }
        ClientMessage::Hello(_) | ClientMessage::Member(_) => {}
    }
});
