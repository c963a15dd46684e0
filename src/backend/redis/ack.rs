//! The acknowledgement of entries that are in the ledger.

use std::sync::LazyLock;

use redis::Script;

use super::retained::StreamId;

pub(super) static ACKNOWLEDGE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("ack.lua")));

/// Ids in ascending order.
pub(super) fn sorted<'a>(ids: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut ids: Vec<_> = ids.filter_map(|id| Some((StreamId::parse(id)?, id))).collect();
    ids.sort_unstable();
    ids.into_iter().map(|(_, id)| id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_in_the_order_of_their_numbers() {
        let ids = ["1795000000007-10", "1795000000000-0", "1795000000007-9"];
        assert_eq!(sorted(ids.into_iter()), ["1795000000000-0", "1795000000007-9", "1795000000007-10"]);
    }
}
