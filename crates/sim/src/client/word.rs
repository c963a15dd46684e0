use serde_json::{Value, json};

use super::client::{Client, OTHER_PIN, PIN};
use crate::plan::Word;

impl Client {
    pub(super) fn peer(&mut self) -> &str {
        let others: Vec<_> = (0..self.peers.len()).filter(|peer| *peer != self.number).collect();
        let peer = *self.dice.pick(&others);
        self.peers[peer].as_str()
    }

    pub(super) fn word(&mut self, word: Word) -> Option<Value> {
        let position = f64::from(u32::try_from(self.dice.between(1, 5_000)).unwrap_or_default());
        let playing = self.dice.percent(60);
        Some(match word {
            Word::Ping => json!({"type": "PING", "t0": 1}),
            Word::PlayPause => {
                json!({"type": "PLAY_PAUSE", "control": if playing { "play" } else { "pause" }, "currentTime": position})
            }
            Word::Seek => json!({"type": "SEEK", "currentTime": position, "isPlaying": playing}),
            Word::Ready => json!({"type": "READY", "targetTime": self.gate.unwrap_or(position)}),
            Word::Position => json!({"type": "POSITION_UPDATE", "currentTime": position, "isPlaying": playing}),
            Word::Heartbeat => json!({"type": "HOST_HEARTBEAT", "currentTime": position, "isPlaying": playing}),
            Word::Url => json!({"type": "URL_CHANGE", "url": format!("https://example.org/{position}")}),
            Word::Sync => json!({"type": "REQUEST_SYNC"}),
            Word::Name => json!({"type": "UPDATE_USERNAME", "username": format!("{} {position}", self.user)}),
            Word::Broadcast => json!({"type": "BROADCAST", "event": "e"}),
            Word::Whisper => json!({"type": "BROADCAST", "event": "e", "to": self.peer()}),
            Word::Offer => json!({"type": "OFFER", "offer": {}, "to": self.peer()}),
            Word::Answer => json!({"type": "ANSWER", "answer": {}, "to": self.peer()}),
            Word::Candidate => json!({"type": "ICE_CANDIDATE", "candidate": {}, "to": self.peer()}),
            Word::Renegotiate => json!({"type": "RENEGOTIATE", "to": self.peer()}),
            Word::Bye => json!({"type": "BYE", "to": self.peer()}),
            Word::PlaybackAck => json!({"type": "PLAYBACK_ACK", "control": "play", "to": self.peer()}),
            Word::GuestControl => json!({"type": "TOGGLE_GUEST_CONTROL", "enabled": playing}),
            Word::TransferHost => json!({"type": "TRANSFER_HOST", "targetUserId": self.peer()}),
            Word::SetRole => {
                json!({"type": "SET_ROLE", "targetUserId": self.peer(), "role": if playing { "co-host" } else { "member" }})
            }
            Word::SyncResponse => json!({"type": "SYNC_RESPONSE", "currentTime": position, "isPlaying": playing}),
            Word::SyncPlayback => json!({"type": "SYNC_PLAYBACK", "currentTime": position, "isPlaying": playing}),
            Word::Kick => json!({"type": "KICK", "targetUserId": self.peer()}),
            Word::SetPin => json!({"type": "SET_PIN", "pin": self.dice.pick(&[None, Some(PIN), Some(OTHER_PIN)])}),
            Word::LockRoom => json!({"type": "LOCK_ROOM", "locked": playing}),
            Word::Ban => json!({"type": "BAN", "targetUserId": self.peer()}),
            Word::Unban => json!({"type": "UNBAN", "targetUserId": self.peer()}),
            Word::ListBans => json!({"type": "LIST_BANS"}),
        })
    }
}
