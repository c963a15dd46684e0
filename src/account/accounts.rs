use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use dashmap::DashMap;

use super::{
    Account,
    ledger_queue::{LedgerLoad, LedgerQueue},
    live_caps::LiveCaps,
};
use crate::{
    clock::{Millis, millis},
    config::{Caps, Resource},
    id::UserId,
    limit::{Client, Entries, share},
    telemetry::Metrics,
};

/// How long an account that holds nothing is kept: until each of its budgets is whole again.
const KEPT: Duration = Duration::from_mins(2);
/// Beyond this number, accounts that hold nothing are not kept.
const MOST_KEPT: usize = 100_000;

/// The accounts of all clients of this node: of addresses, or of users whom tokens name. The two are kept apart, so that what a socket
/// uses is counted once in each.
#[derive(Debug)]
pub struct Accounts {
    shared: Arc<Shared>,
    accounts: DashMap<Holder, Arc<Account>>,
}

/// Whose accounts there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// Of client addresses.
    Addresses,
    /// Of users.
    Users,
}

#[derive(Debug, PartialEq, Eq, Hash)]
enum Holder {
    Client(Client),
    User(UserId),
}

/// What the accounts have in common.
#[derive(Debug)]
pub(super) struct Shared {
    of: Of,
    pub(super) shares: AtomicBool,
    pub(super) caps: LiveCaps,
    pub(super) held: [OfAll; Resource::HELD],
    pub(super) queue: LedgerQueue,
    metrics: Arc<Metrics>,
}

/// One resource, over all accounts.
#[derive(Debug)]
pub(super) struct OfAll {
    pub(super) capacity: AtomicU64,
    pub(super) used: AtomicU64,
    /// The number of accounts that hold any of it.
    pub(super) accounts: AtomicUsize,
}

/// The capacity of a node.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs, reason = "each is its own name")]
pub struct Load {
    pub sockets: usize,
    pub connections: usize,
    pub rooms: usize,
}

/// Which limit of its account a client has reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Exceeded {
    /// Its share of what is scarce.
    #[error("{name}: this client has its share", name = .0.name())]
    Share(Resource),
    /// A cap that was set.
    #[error("{name}: this client has reached its cap", name = .0.name())]
    Cap(Resource),
}

impl Shared {
    /// Counts that a client reached a limit.
    pub(super) fn exceeded(&self, what: Exceeded) -> Exceeded {
        match (self.of, what) {
            (Of::Addresses, Exceeded::Share(resource)) => self.metrics.shares_exceeded.inc(resource),
            (Of::Addresses, Exceeded::Cap(resource)) => self.metrics.caps_exceeded.inc(resource),
            (Of::Users, Exceeded::Share(resource)) => self.metrics.user_shares_exceeded.inc(resource),
            (Of::Users, Exceeded::Cap(resource)) => self.metrics.user_caps_exceeded.inc(resource),
        }
        what
    }
}

impl Accounts {
    /// No accounts yet, on a node with this capacity.
    pub fn new(of: Of, capacity: Load, shares: bool, caps: Caps, metrics: Arc<Metrics>) -> Arc<Self> {
        let of_all = |capacity: usize| OfAll {
            capacity: AtomicU64::new(capacity as u64),
            used: AtomicU64::new(0),
            accounts: AtomicUsize::new(0),
        };
        let held = [of_all(capacity.sockets), of_all(capacity.connections), of_all(capacity.rooms)];
        let (shares, caps) = (AtomicBool::new(shares), LiveCaps::new(&caps));
        let queue = LedgerQueue::default();
        Arc::new(Self { shared: Arc::new(Shared { of, shares, caps, held, queue, metrics }), accounts: DashMap::new() })
    }

    /// Takes other settings, for those who have accounts already, too.
    pub fn set(&self, shares: bool, caps: &Caps) {
        self.shared.shares.store(shares, Ordering::Relaxed);
        self.shared.caps.set(caps);
    }

    /// Sets the number of sockets that the node may have.
    pub fn set_sockets(&self, most: usize) {
        self.set_capacity(Resource::Sockets, most);
    }

    /// Sets the number of HTTP connections that the node may have.
    pub fn set_connections(&self, most: usize) {
        self.set_capacity(Resource::Connections, most);
    }

    fn set_capacity(&self, of: Resource, most: usize) {
        if let Some(of_all) = self.shared.held.get(of.place()) {
            of_all.capacity.store(most as u64, Ordering::Relaxed);
        }
    }

    /// Accounts without any limit.
    pub fn unlimited(metrics: Arc<Metrics>) -> Arc<Self> {
        let capacity = Load { sockets: usize::MAX, connections: usize::MAX, rooms: usize::MAX };
        Self::new(Of::Addresses, capacity, false, Caps::default(), metrics)
    }

    /// The account of an address.
    pub fn of(&self, address: IpAddr, now: Millis) -> Arc<Account> {
        self.get(Holder::Client(address.into()), now)
    }

    /// The account of a user.
    pub fn of_user(&self, user: &UserId, now: Millis) -> Arc<Account> {
        self.get(Holder::User(user.clone()), now)
    }

    fn get(&self, holder: Holder, now: Millis) -> Arc<Account> {
        let account = self.accounts.entry(holder).or_insert_with(|| Arc::new(Account::new(Arc::clone(&self.shared))));
        account.last_used.store(now, Ordering::Relaxed);
        Arc::clone(&account)
    }

    /// The number of accounts.
    pub fn len(&self) -> usize {
        self.accounts.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty()
    }

    /// Divides the CPU time of the node: `used` of `capacity` was used by all within `over`.
    pub fn divide_cpu(&self, capacity: Duration, used: Duration, over: Duration) {
        let per_second = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let scale = |micros: u64| micros.saturating_mul(1_000) / millis(over).max(1);
        let (capacity, used) = (scale(per_second(capacity)), scale(per_second(used)));
        let mut active = 0;
        let mut busiest = Vec::new();
        for account in &self.accounts {
            let mine = scale(account.cpu_since());
            active += usize::from(mine > 0);
            // Below this an account is within every share.
            if mine > capacity / 64 || account.allowance.load(Ordering::Relaxed) > 0 {
                busiest.push((Arc::clone(&account), mine));
            }
        }
        for (account, mine) in busiest {
            let most = share(capacity, used, mine, active).filter(|_| account.has_share());
            let was = account.allowance.load(Ordering::Relaxed);
            // An account that is held to its limit stays just below it, and would exceed it again if it were let go.
            let limited =
                most.filter(|most| mine > *most || (was > 0 && mine.saturating_mul(10) > most.saturating_mul(8)));
            let allowance = limited.map_or(0, |most| u32::try_from(most).unwrap_or(u32::MAX).max(1));
            account.allowance.store(allowance, Ordering::Relaxed);
        }
    }

    /// Divides the ledger's queue, of which workers have taken something meanwhile.
    pub fn divide_ledger(&self, load: LedgerLoad) {
        let mut all = Entries::default();
        for account in &self.accounts {
            let mine = account.queued.get();
            all.number += mine.number;
            all.bytes += mine.bytes;
        }
        let waits = |account: &Account| account.queued.settle(all, load.own) != Entries::default();
        let accounts = self.accounts.iter().filter(|account| waits(account)).count();
        self.shared.queue.set(load, accounts);
    }

    /// Forgets the accounts that hold nothing and owe nothing.
    pub fn sweep(&self, now: Millis) {
        let kept = if self.accounts.len() > MOST_KEPT { 0 } else { millis(KEPT) };
        self.accounts.retain(|_, account| {
            Arc::strong_count(account) > 1
                || account.queued.get() != Entries::default()
                || now.saturating_sub(account.last_used.load(Ordering::Relaxed)) < kept
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Hold;

    fn accounts(shares: bool, caps: &[&str]) -> Arc<Accounts> {
        let capacity = Load { sockets: 1_000, connections: 1_000, rooms: 1_000 };
        let caps = caps.iter().map(|text| Caps::parse(text).unwrap()).collect();
        Accounts::new(Of::Addresses, capacity, shares, caps, Arc::new(Metrics::new("a")))
    }

    fn of(accounts: &Accounts, last: u8) -> Arc<Account> {
        accounts.of([192, 0, 2, last].into(), 1_000)
    }

    fn take(account: &Arc<Account>, what: Resource, wanted: usize) -> (Vec<Hold>, Option<Exceeded>) {
        let mut holds = Vec::new();
        for _ in 0..wanted {
            match account.hold(what) {
                Ok(hold) => holds.push(hold),
                Err(why) => return (holds, Some(why)),
            }
        }
        (holds, None)
    }

    #[test]
    fn one_address_leaves_half_to_the_others_and_gives_back_what_it_held() {
        let accounts = accounts(true, &[]);
        let (greedy, why) = take(&of(&accounts, 1), Resource::Sockets, 1_000);
        assert_eq!((greedy.len(), why), (500, Some(Exceeded::Share(Resource::Sockets))));
        let (second, _) = take(&of(&accounts, 2), Resource::Sockets, 1_000);
        assert!((250..=334).contains(&second.len()), "{}", second.len());
        let (party, none) = take(&of(&accounts, 3), Resource::Sockets, 30);
        assert_eq!((party.len(), none), (30, None), "a party of thirty behind one address");
        drop((greedy, second, party));
        assert_eq!(take(&of(&accounts, 4), Resource::Sockets, 1_000).0.len(), 500);
        assert_eq!(take(&of(&accounts, 4), Resource::Rooms, 1_000).0.len(), 500, "each resource for itself");
    }

    #[test]
    fn what_there_is_little_of_is_not_divided() {
        let capacity = Load { sockets: 2, connections: 63, rooms: 64 };
        let few = Accounts::new(Of::Addresses, capacity, true, Caps::default(), Arc::new(Metrics::new("a")));
        let account = of(&few, 1);
        // What refuses is the capacity itself, and says so.
        assert_eq!(take(&account, Resource::Sockets, 5).1, None);
        assert_eq!(take(&account, Resource::Connections, 100).1, None);
        assert_eq!(take(&account, Resource::Rooms, 100).0.len(), 32);
    }

    #[test]
    fn without_shares_and_for_a_proxy_only_caps_count() {
        let off = accounts(false, &["sockets=700"]);
        assert_eq!(take(&of(&off, 1), Resource::Sockets, 1_000).0.len(), 700);
        let on = accounts(true, &[]);
        let proxy = of(&on, 1);
        proxy.is_of_many();
        assert_eq!(take(&proxy, Resource::Sockets, 1_000).0.len(), 1_000);
    }

    #[test]
    fn a_rate_is_capped_with_a_burst() {
        let accounts = accounts(true, &["messages=10"]);
        let account = of(&accounts, 1);
        let passed = (0..100).filter(|_| account.spend(Resource::Messages, 1, 1_000).is_ok()).count();
        assert_eq!(passed, 30);
        let refused = account.spend(Resource::Messages, 1, 1_000);
        assert_eq!(refused, Err((Exceeded::Cap(Resource::Messages), 100)));
        assert_eq!(account.spend(Resource::Bytes, 1_000_000, 1_000), Ok(()), "it has no cap");
    }

    #[test]
    fn cpu_is_divided_while_more_than_half_is_used() {
        let accounts = accounts(true, &[]);
        let (busy, calm) = (of(&accounts, 1), of(&accounts, 2));
        let second = Duration::from_secs(1);
        let play = |busy_ms: u64, calm_ms: u64| {
            busy.spend_cpu(Duration::from_millis(busy_ms), || 1_000);
            calm.spend_cpu(Duration::from_millis(calm_ms), || 1_000);
            accounts.divide_cpu(second, Duration::from_millis(busy_ms + calm_ms), second);
            let limit = |account: &Account| account.allowance.load(Ordering::Relaxed) / 1_000;
            (limit(&busy), limit(&calm))
        };
        assert_eq!(play(400, 100), (0, 0), "half is free");
        assert_eq!(play(800, 100), (450, 0), "half of what the other leaves");
        assert_eq!(play(445, 100), (450, 0), "it is still at its limit");
        let owes = |account: &Account| (0..200).map(|_| account.spend_cpu(Duration::from_millis(1), || 2_000)).max();
        assert_eq!(owes(&calm), Some(0));
        assert!((400..450).contains(&owes(&busy).unwrap()), "200 ms, but for the 9 of the burst, at 450 a second");
        play(0, 0);
        assert_eq!(play(100, 100), (0, 0), "the limit ends with the need");
    }

    #[test]
    fn accounts_are_kept_while_they_hold_or_owe_something() {
        let accounts = accounts(true, &[]);
        let (holds, _) = take(&of(&accounts, 1), Resource::Sockets, 1);
        of(&accounts, 2);
        accounts.sweep(2_000);
        assert_eq!(accounts.len(), 2);
        accounts.sweep(1_000 + millis(KEPT));
        assert_eq!(accounts.len(), 1);
        drop(holds);
        accounts.sweep(1_000 + millis(KEPT));
        assert!(accounts.is_empty());
    }
}
