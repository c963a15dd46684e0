use redis::{Script, ScriptInvocation};

use super::node::RedisNode;
use crate::{
    backend::{
        Due, Proposal, Retention,
        records::{Codec, ROOM, RecordError, member_field},
    },
    id::UserId,
    room::{Change, Room, StreamPosition},
};

/// The arguments of `commit.lua`, in their order.
struct Step<'a> {
    /// The version and the epoch.
    found: [Vec<u8>; 2],
    told: String,
    entry: &'a str,
    due: Due,
    room: &'a Room,
    remember: bool,
    replace: bool,
    set: Vec<(String, String)>,
    unset: Vec<String>,
    /// The members whose inboxes are deleted.
    forgotten: Vec<&'a UserId>,
}

/// The fields of a room without those of its members.
fn fields(codec: &Codec, room: &Room, at: StreamPosition) -> Result<Vec<(String, String)>, RecordError> {
    let position = [("v".to_owned(), at.version.to_string()), ("e".to_owned(), at.epoch.to_string())];
    Ok(position.into_iter().chain([(ROOM.to_owned(), codec.encode_room(room)?)]).collect())
}

impl RedisNode {
    /// `entry` is the ledger entry; empty for none.
    pub(super) fn commit_script<'a>(
        &self,
        script: &'a Script,
        proposal: &Proposal,
        entry: &str,
    ) -> Result<ScriptInvocation<'a>, RecordError> {
        let (update, after) = (&proposal.update, &proposal.after);
        let mut seats: Vec<_> = update.changes.iter().filter_map(Change::seat).collect();
        seats.sort_unstable();
        seats.dedup();
        let (mut set, mut unset) = (Vec::new(), Vec::new());
        if after.exists() {
            set = fields(&self.codec, after, update.position())?;
            for user in seats {
                match after.members.get(user) {
                    Some(member) => set.push((member_field(user), self.codec.encode_member(member)?)),
                    None => unset.push(member_field(user)),
                }
            }
        }
        let step = Step {
            found: [update.base.to_string().into(), update.epoch.to_string().into()],
            told: self.codec.encode_update(update)?,
            entry,
            due: proposal.due,
            room: after,
            remember: after.is_resumable(),
            replace: !after.exists(),
            set,
            unset,
            forgotten: update.changes.iter().filter_map(Change::ends_negotiations).collect(),
        };
        Ok(self.script(script, step))
    }

    pub(super) fn restore_script<'a>(
        &self,
        script: &'a Script,
        room: &Room,
        found: [Vec<u8>; 2],
        due: Due,
    ) -> Result<ScriptInvocation<'a>, RecordError> {
        let mut set = fields(&self.codec, room, room.position())?;
        for member in room.members.values() {
            set.push((member_field(&member.user), self.codec.encode_member(member)?));
        }
        let step = Step {
            found,
            told: self.codec.encode_restored(room),
            entry: "",
            due,
            room,
            remember: false,
            replace: true,
            set,
            unset: Vec::new(),
            forgotten: Vec::new(),
        };
        Ok(self.script(script, step))
    }

    fn script<'a>(&self, script: &'a Script, step: Step<'_>) -> ScriptInvocation<'a> {
        let (layout, id) = (&self.layout, &step.room.id);
        let mut call = script.key(layout.room(id));
        let partition = layout.partition(id);
        call.key(layout.history(id)).key(layout.events(partition)).key(layout.due(partition)).key(layout.channel(id));
        for user in step.forgotten {
            call.key(layout.inbox(id, user));
        }
        for found in step.found {
            call.arg(found);
        }
        let limits = format!("{} {}", self.stream_max, self.quota.share(partition));
        call.arg(step.told).arg(step.entry).arg(limits);
        match step.due {
            Due::Same => call.arg(""),
            Due::Never => call.arg("-"),
            Due::At(at) => call.arg(at),
        };
        call.arg(id.as_str()).arg(self.retention.room);
        let updates = if step.remember { Retention::UPDATES } else { 0 };
        call.arg(updates).arg(Retention::UPDATE_BYTES).arg(self.retention.age);
        call.arg(u8::from(step.replace)).arg(step.set.len());
        for (field, value) in step.set {
            call.arg(field).arg(value);
        }
        for field in step.unset {
            call.arg(field);
        }
        call
    }
}
