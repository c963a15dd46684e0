use redis::Script;

use super::{clock::clock_script, weigh::weigh_script};

/// All scripts; each is hashed once.
#[derive(Debug)]
pub(super) struct Scripts {
    pub(super) commit: Script,
    pub(super) restore: Script,
    pub(super) keep: Script,
    pub(super) taken: Script,
    pub(super) code: Script,
    pub(super) renew: Script,
    pub(super) remove_node: Script,
    pub(super) name: Script,
    pub(super) append: Script,
    pub(super) time: Script,
    pub(super) weigh: Script,
    pub(super) server: Script,
    pub(super) revocations: Script,
    pub(super) claim: Script,
}

impl Default for Scripts {
    fn default() -> Self {
        Self {
            commit: Script::new(include_str!("commit.lua")),
            restore: Script::new(include_str!("restore.lua")),
            keep: Script::new(include_str!("keep.lua")),
            taken: Script::new(include_str!("taken.lua")),
            code: Script::new(include_str!("code.lua")),
            renew: Script::new(include_str!("renew.lua")),
            remove_node: Script::new(include_str!("remove_node.lua")),
            name: Script::new(include_str!("name.lua")),
            append: Script::new(include_str!("append.lua")),
            time: clock_script(),
            weigh: weigh_script(),
            server: Script::new(include_str!("server.lua")),
            revocations: Script::new(include_str!("revocations.lua")),
            claim: Script::new(include_str!("claim.lua")),
        }
    }
}
