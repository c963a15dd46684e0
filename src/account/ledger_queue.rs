use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::limit::{Entries, least, share};

/// How full the ledger's queue is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LedgerLoad {
    /// What it may take. Where that is unknown (0), nothing is divided.
    pub capacity: Entries,
    /// What waits in it.
    pub used: Entries,
    /// What of that this node has appended.
    pub own: Entries,
}

/// The ledger's queue, which all nodes fill: what this node saw of it last, and what its clients have added since.
#[derive(Debug, Default)]
pub(super) struct LedgerQueue {
    capacity: Both,
    used: Both,
    added: Both,
    /// The number of accounts that have something in it.
    accounts: AtomicUsize,
}

/// Entries that are counted by many at the same time.
#[derive(Debug, Default)]
pub(super) struct Both {
    number: AtomicU64,
    bytes: AtomicU64,
}

impl Both {
    pub(super) fn get(&self) -> Entries {
        Entries { number: self.number.load(Ordering::Relaxed), bytes: self.bytes.load(Ordering::Relaxed) }
    }

    fn set(&self, to: Entries) {
        self.number.store(to.number, Ordering::Relaxed);
        self.bytes.store(to.bytes, Ordering::Relaxed);
    }

    /// Adds one entry, and returns all.
    pub(super) fn add(&self, bytes: u64) -> Entries {
        let number = self.number.fetch_add(1, Ordering::Relaxed) + 1;
        Entries { number, bytes: self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes }
    }

    pub(super) fn take(&self, less: Entries) {
        let sub = |from: &AtomicU64, less: u64| {
            let _ = from.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |is| Some(is.saturating_sub(less)));
        };
        sub(&self.number, less.number);
        sub(&self.bytes, less.bytes);
    }

    /// Keeps what is left when workers have taken the rest: of `all`, which the accounts of this node have added, `own` still waits. Which
    /// entries are whose is not known, so each account is taken to have its part of them.
    pub(super) fn settle(&self, all: Entries, own: Entries) -> Entries {
        let is = self.get();
        let gone = |is: u64, all: u64, own: u64| is - part(is, own.min(all), all).min(is);
        self.take(Entries {
            number: gone(is.number, all.number, own.number),
            bytes: gone(is.bytes, all.bytes, own.bytes),
        });
        self.get()
    }
}

impl LedgerQueue {
    pub(super) fn is_known(&self) -> bool {
        self.capacity.bytes.load(Ordering::Relaxed) > 0
    }

    pub(super) fn set(&self, load: LedgerLoad, accounts: usize) {
        self.capacity.set(load.capacity);
        self.used.set(load.used);
        self.added.set(Entries::default());
        self.accounts.store(accounts, Ordering::Relaxed);
    }

    /// Adds one entry to what an account has in the queue, unless the account has its share.
    pub(super) fn append(&self, account: &Both, bytes: u64) -> bool {
        let (mine, added) = (account.add(bytes), self.added.add(bytes));
        let (capacity, used) = (self.capacity.get(), self.used.get());
        let accounts = self.accounts.load(Ordering::Relaxed).max(1);
        let fits = |capacity: u64, used: u64, mine: u64| {
            share(capacity, used, mine, accounts).is_none_or(|most| mine <= most.max(least(capacity)))
        };
        let has_room = fits(capacity.number, used.number.saturating_add(added.number), mine.number)
            && fits(capacity.bytes, used.bytes.saturating_add(added.bytes), mine.bytes);
        if !has_room {
            let one = Entries { number: 1, bytes };
            account.take(one);
            self.added.take(one);
        }
        has_room
    }
}

/// `is * of / all`, in whole numbers.
fn part(is: u64, of: u64, all: u64) -> u64 {
    u64::try_from(u128::from(is) * u128::from(of) / u128::from(all.max(1))).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::{net::Ipv4Addr, sync::Arc};

    use super::*;
    use crate::{
        account::{Account, Accounts, Exceeded, Load, Of},
        config::{Caps, Resource},
        telemetry::Metrics,
    };

    const CAPACITY: Entries = Entries { number: 1_000, bytes: 1_000_000 };

    fn accounts(shares: bool) -> Arc<Accounts> {
        let capacity = Load { sockets: 10, connections: 10, rooms: 10 };
        Accounts::new(Of::Addresses, capacity, shares, Caps::default(), Arc::new(Metrics::new("a")))
    }

    fn of(accounts: &Accounts, last: u8) -> Arc<Account> {
        accounts.of(Ipv4Addr::new(192, 0, 2, last).into(), 1_000)
    }

    fn level(number: u64, own: u64) -> LedgerLoad {
        let entries = |number| Entries { number, bytes: number * 200 };
        LedgerLoad { capacity: CAPACITY, used: entries(number), own: entries(own) }
    }

    /// How many entries of so many bytes are taken, of 2,000.
    fn appended(account: &Account, bytes: u32) -> usize {
        (0..2_000).filter(|_| account.append(bytes, 1_000).is_ok()).count()
    }

    #[test]
    fn one_address_gets_its_share_of_a_queue_that_is_more_than_half_full() {
        for (bytes, most) in [(200, 500), (10_000, 50)] {
            let accounts = accounts(true);
            accounts.divide_ledger(level(0, 0));
            assert_eq!(appended(&of(&accounts, 1), bytes), most, "of {bytes} bytes");
            let refused = of(&accounts, 1).append(bytes, 1_000);
            assert!(matches!(refused, Err((Exceeded::Share(Resource::Ledger), wait)) if wait > 0), "{refused:?}");
            assert!(appended(&of(&accounts, 2), bytes) >= most / 2, "another has its own");
        }
    }

    #[test]
    fn what_others_have_filled_counts_and_what_is_written_is_free_again() {
        let accounts = accounts(true);
        accounts.divide_ledger(level(0, 0));
        let greedy = of(&accounts, 1);
        assert_eq!(appended(&greedy, 200), 500);
        // Another node has 300 in the queue. Of ours a worker has taken none, and later most.
        accounts.divide_ledger(level(800, 500));
        assert_eq!(appended(&greedy, 200), 0);
        assert!(appended(&of(&accounts, 2), 200) > 50);
        accounts.divide_ledger(level(400, 100));
        assert!(appended(&greedy, 200) > 100);
    }

    #[test]
    fn nothing_is_divided_without_shares_or_for_many_or_where_the_queue_is_unknown() {
        let off = accounts(false);
        off.divide_ledger(level(900, 0));
        assert_eq!(appended(&of(&off, 1), 200), 2_000);
        let on = accounts(true);
        assert_eq!(appended(&of(&on, 1), 200), 2_000, "no queue was seen yet");
        on.divide_ledger(level(900, 0));
        of(&on, 2).is_of_many();
        assert_eq!(appended(&of(&on, 2), 200), 2_000);
    }

    #[test]
    fn whoever_has_entries_in_the_queue_is_not_forgotten() {
        let accounts = accounts(true);
        accounts.divide_ledger(level(0, 0));
        assert_eq!(appended(&of(&accounts, 1), 200), 500);
        accounts.sweep(1_000_000);
        assert_eq!(accounts.len(), 1);
        accounts.divide_ledger(level(0, 0));
        accounts.sweep(1_000_000);
        assert!(accounts.is_empty());
    }
}
