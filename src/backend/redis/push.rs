//! Handles pushes of Redis. Runs on the task of the connection, in the order of the pushes, and never waits.

use std::sync::Arc;

use redis::{PushInfo, PushKind, Value};

use super::{
    answer::{corrupt, unreadable},
    link::Link,
    node::RedisNode,
    seat_check::SEAT_MESSAGE,
};
use crate::{
    backend::records::{RecordError, SignalEnvelope},
    id::RoomId,
    telemetry::{Dropped, contained_call},
};

impl RedisNode {
    pub(super) fn on_push(self: &Arc<Self>, link: &Link, generation: u64, push: &PushInfo) {
        match push.kind {
            PushKind::SMessage => {
                if let [Value::BulkString(channel), Value::BulkString(message)] = push.data.as_slice()
                    && let Ok(channel) = std::str::from_utf8(channel)
                {
                    self.on_message(link, channel, message);
                }
            }
            PushKind::Disconnection if link.is_current(generation) => link.request_reconnect(),
            // Redis Cluster sends this when the slot of a channel has moved to another shard.
            PushKind::SUnsubscribe if link.is_current(generation) => {
                let room = push.data.first().and_then(|channel| match channel {
                    Value::BulkString(channel) => std::str::from_utf8(channel).ok(),
                    _ => None,
                });
                let room = room.and_then(|channel| self.layout.room_of_channel(channel));
                if room.and_then(|room| RoomId::parse(room).ok()).is_some_and(|room| link.rooms.contains(&room)) {
                    link.request_reconnect();
                }
            }
            _ => {}
        }
    }

    fn on_message(self: &Arc<Self>, link: &Link, channel: &str, message: &[u8]) {
        if let Some(room) = self.layout.room_of_channel(channel) {
            if let Ok(room) = RoomId::parse(room)
                && contained_call(|| self.on_update(&room, message)).is_none()
                && let Some(events) = self.events()
            {
                // All rooms share the connection: a bug in one room must not end it. The panic itself is in the log.
                self.faults
                    .note(&corrupt(&format!("an update of room {room}"), &"a bug stopped it; the room is read again"));
                events.stale(&room);
            }
        } else if channel == self.channel && message.is_empty() {
            // Another process counts the subscribers of this channel.
        } else if channel == self.channel {
            self.on_node_message(message);
        } else if let Some(nonce) = std::str::from_utf8(message).ok().and_then(|text| text.parse().ok()) {
            link.probe_returned(channel, nonce);
        } else {
            self.faults.note(&corrupt("a probe", &"it is no number"));
        }
    }

    /// Handles a message of another node.
    fn on_node_message(self: &Arc<Self>, message: &[u8]) {
        let note = |error: &RecordError| self.faults.note(&unreadable("what was sent to this node", error));
        match self.codec.open(message) {
            Ok(rest) => match rest.strip_prefix(SEAT_MESSAGE) {
                Some(message) => self.on_seat_message(message),
                None => match self.codec.decode_signal(message) {
                    Ok(signal) => self.on_signal(signal),
                    Err(error) => note(&error),
                },
            },
            Err(error) => note(&error),
        }
    }

    fn on_update(&self, room: &RoomId, message: &[u8]) {
        let Some(events) = self.events() else { return };
        let update = match self.codec.decode_head(message) {
            Ok(head) if events.knows(room, head.position()) => return,
            Ok(head) if head.is_notice() => return events.stale(room),
            Ok(_) => self.codec.decode_update(room, message),
            Err(error) => Err(error),
        };
        match update {
            Ok(update) => events.update(&Arc::new(update)),
            Err(error) => {
                // The room is loaded again.
                self.faults.note(&unreadable(&format!("an update of room {room}"), &error));
                events.stale(room);
            }
        }
    }

    fn on_signal(&self, envelope: SignalEnvelope) {
        if !self.tell(&envelope)
            && let Err(full) = self.undelivered.try_send(envelope)
        {
            let envelope = full.into_inner();
            self.losses.note(Dropped::TooManyStrays, 1, &envelope.room, &envelope.to);
        }
    }
    /// Hands a signal to its target. False if that has no socket on this node.
    pub(super) fn tell(&self, envelope: &SignalEnvelope) -> bool {
        self.events().is_some_and(|events| events.signal(&envelope.room, &envelope.to, &envelope.frame))
    }
}
