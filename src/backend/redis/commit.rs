use std::sync::Arc;

use redis::{Cmd, Script, ScriptInvocation};

use super::node::RedisNode;
use crate::{
    backend::{
        Due, Proposal, Retention,
        records::{
            LINEAGE, ROOM, RecordError, ban_field, encode_entry, encode_entry_head, encode_lineage, member_field,
        },
    },
    id::RoomId,
    room::{Change, Footprint, Room},
};

/// The bytes of what every call has, beside its records: names, numbers, the hash of the script.
const COMMON: usize = 256;

/// Whether a room is due, as an argument of a script.
fn due_argument(due: Due) -> Option<String> {
    match due {
        Due::Same => None,
        Due::Never => Some("-".to_owned()),
        Due::At(at) => Some(at.to_string()),
    }
}

/// The arguments of `commit.lua` that its flags announce.
#[derive(Default)]
struct Optional {
    flags: String,
    keys: Vec<String>,
    args: Vec<Vec<u8>>,
}

impl Optional {
    fn flag<const N: usize>(&mut self, flag: char, args: [Vec<u8>; N]) {
        self.flags.push(flag);
        self.args.extend(args);
    }
}

/// A proposal in records.
pub(super) struct Encoded {
    pub(super) update: Vec<u8>,
    /// The ledger entry; empty for none.
    pub(super) entry: Vec<u8>,
    /// Whether the update is its end, which the script adds.
    pub(super) continues: bool,
}

impl Encoded {
    /// The entry as it is in the stream.
    pub(super) fn into_entry(self) -> Vec<u8> {
        let Self { update, mut entry, continues } = self;
        if continues {
            entry.extend(update);
        }
        entry
    }
}

fn text(value: &(impl ToString + ?Sized)) -> Vec<u8> {
    value.to_string().into_bytes()
}

impl RedisNode {
    pub(super) fn encode(&self, proposal: &Proposal) -> Encoded {
        let update = self.codec.encode_update(&proposal.update);
        let Some(entry) = proposal.entry.as_ref().filter(|_| self.retained.is_some()) else {
            return Encoded { update, entry: Vec::new(), continues: false };
        };
        // An entry may have a copy of the update, without what is not for auditors.
        let continues = Arc::ptr_eq(&entry.update, &proposal.update);
        let entry = if continues { encode_entry_head(entry, &self.codec) } else { encode_entry(entry, &self.codec) };
        Encoded { update, entry, continues }
    }

    /// The call of `commit.lua`. Every change takes this way, so it is one command from the start.
    pub(super) fn commit_call(&self, proposal: &Proposal, encoded: &Encoded) -> Result<Cmd, RecordError> {
        let (update, after, layout) = (&proposal.update, &proposal.after, &self.layout);
        let id = &after.id;
        let partition = layout.partition(id);
        let mut optional = Optional::default();
        if encoded.continues {
            optional.flag('e', []);
        }
        if after.exists() {
            match update.footprint() {
                Footprint::Nothing => {}
                Footprint::Playback => optional.flag('p', []),
                Footprint::Room => self.write_room(proposal, &mut optional)?,
            }
        } else {
            optional.flag('x', []);
        }
        // A new room has the history of none before it, and a closed one has none.
        let (ends, remembered) = (update.base == 0 || !after.exists(), after.is_resumable());
        if remembered {
            let most = [text(&Retention::UPDATES), text(&Retention::UPDATE_BYTES), text(&self.retention.age)];
            optional.flag('h', most);
            optional.keys.push(layout.history(id));
        }
        if let Some(due) = due_argument(proposal.due) {
            optional.flag('d', [text(id), due.into_bytes()]);
            optional.keys.push(layout.due(partition));
        }
        if ends && !remembered {
            optional.keys.push(layout.history(id));
        }
        let forgotten = update.changes.iter().filter_map(Change::ends_negotiations);
        optional.keys.extend(forgotten.map(|user| layout.inbox(id, user)));
        let (room, channel) = (layout.room(id), layout.channel(id));
        if channel != room {
            optional.flag('c', [channel.into_bytes()]);
        }

        let Optional { flags, keys, args } = optional;
        let data = COMMON + encoded.update.len() + encoded.entry.len() + args.iter().map(Vec::len).sum::<usize>();
        let mut call = Cmd::with_capacity(12 + keys.len() + args.len(), data);
        call.arg("EVALSHA").arg(self.scripts.commit.get_hash()).arg(2 + keys.len());
        call.arg(room).arg(layout.events(partition)).arg(keys);
        // The version and the epoch that must be in force; not formatted, like the names.
        call.arg(flags).arg([update.base.to_string(), update.epoch.to_string()].join(" ")).arg(encode_lineage(after));
        call.arg(&encoded.update).arg(&encoded.entry).arg(self.stream_max).arg(self.quota.share(partition));
        call.arg(args);
        Ok(call)
    }

    /// The record of the room, and those of the members whose seats change.
    fn write_room(&self, proposal: &Proposal, optional: &mut Optional) -> Result<(), RecordError> {
        let (update, after) = (&proposal.update, &proposal.after);
        let mut seats: Vec<_> = update.changes.iter().filter_map(Change::seat).collect();
        seats.sort_unstable();
        seats.dedup();
        let mut fields = vec![ROOM.into(), self.codec.encode_room(after)?];
        let mut unset = Vec::new();
        for user in seats {
            match after.members.get(user) {
                Some(member) => fields.extend([member_field(user).into_bytes(), self.codec.encode_member(member)?]),
                None => unset.push(member_field(user).into_bytes()),
            }
        }
        for user in update.changes.iter().filter_map(Change::ban) {
            match after.bans.get(user) {
                Some(ban) => fields.extend([ban_field(user).into_bytes(), self.codec.encode_ban(ban)]),
                None => unset.push(ban_field(user).into_bytes()),
            }
        }
        optional.flag('r', [text(&self.retention.room), text(&(fields.len() / 2))]);
        optional.args.extend(fields);
        if !unset.is_empty() {
            optional.flag('m', [text(&unset.len())]);
            optional.args.extend(unset);
        }
        Ok(())
    }

    pub(super) fn restore_script<'a>(
        &self,
        script: &'a Script,
        room: &Room,
        found: [Vec<u8>; 2],
        due: Due,
    ) -> Result<ScriptInvocation<'a>, RecordError> {
        let (layout, id): (_, &RoomId) = (&self.layout, &room.id);
        let mut call = script.key(layout.room(id));
        call.key(layout.history(id)).key(layout.due(layout.partition(id))).key(layout.channel(id));
        for found in found {
            call.arg(found);
        }
        call.arg(self.codec.encode_restored(room)).arg(due_argument(due).unwrap_or_default());
        call.arg(id.as_str()).arg(self.retention.room);
        call.arg("v").arg(room.version).arg("e").arg(room.epoch).arg(LINEAGE).arg(encode_lineage(room));
        call.arg(ROOM).arg(self.codec.encode_room(room)?);
        for member in room.members.values() {
            call.arg(member_field(&member.user)).arg(self.codec.encode_member(member)?);
        }
        for ban in room.bans.values() {
            call.arg(ban_field(&ban.user)).arg(self.codec.encode_ban(ban));
        }
        Ok(call)
    }
}
