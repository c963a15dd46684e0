use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{Exceeded, accounts::Shared, ledger_queue::Both, live_caps::LiveCaps};
use crate::{
    clock::Millis,
    config::Resource,
    limit::{Bucket, least, share},
};

/// A rate may be exceeded for this many seconds after a pause.
const BURST_SECONDS: u32 = 3;
/// Codes that lead nowhere: so many at once, and then so many each second. Whoever was invited has a code that leads somewhere.
const WRONG_CODES: u32 = 60;
const WRONG_CODES_PER_SECOND: u32 = 1;
/// Bytes of answers about the node each second: `/metrics` 150 times, or `/status` for twenty thousand clients that poll it.
const NUMBERS_BYTES: u32 = 4_000_000;
/// When a client that has its share of new codes is to ask again.
const SCARCE_CODES: Millis = 10_000;
/// When a client that has its share of the ledger's queue is to try again: the queue is looked at every two seconds.
const SCARCE_LEDGER: Millis = 2_000;

/// What one client uses of this node.
#[derive(Debug)]
pub struct Account {
    shared: Arc<Shared>,
    held: [AtomicU32; Resource::HELD],
    /// CPU time used since the account was opened, in microseconds.
    cpu: AtomicU64,
    /// The value of `cpu` when the node last looked.
    pub(super) cpu_seen: AtomicU64,
    /// CPU time that the account may use each second, in microseconds; 0 while there is no limit.
    pub(super) allowance: AtomicU32,
    /// What it has in the ledger's queue, as far as this node knows.
    pub(super) queued: Both,
    /// Whether many clients are behind this address, because it is a proxy's that the settings do not name.
    is_crowd: AtomicBool,
    pub(super) last_used: AtomicU64,
    budgets: Mutex<Budgets>,
}

#[derive(Debug, Default)]
struct Budgets {
    rates: [Bucket; Resource::ALL.len()],
    new_codes: Bucket,
    wrong_codes: Bucket,
    numbers: Bucket,
}

/// Something that an account holds until this is dropped.
#[derive(Debug)]
pub struct Hold {
    account: Arc<Account>,
    what: Resource,
}

impl Account {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            held: Default::default(),
            cpu: AtomicU64::new(0),
            cpu_seen: AtomicU64::new(0),
            allowance: AtomicU32::new(0),
            queued: Both::default(),
            is_crowd: AtomicBool::new(false),
            last_used: AtomicU64::new(0),
            budgets: Mutex::default(),
        }
    }

    fn budgets(&self) -> MutexGuard<'_, Budgets> {
        self.budgets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn caps(&self) -> &LiveCaps {
        &self.shared.caps
    }

    /// There are no shares for this account any more, since it is not one client.
    pub fn is_of_many(&self) {
        self.is_crowd.store(true, Ordering::Relaxed);
    }

    /// Whether shares are for this account.
    pub fn has_share(&self) -> bool {
        self.shared.shares.load(Ordering::Relaxed) && !self.is_crowd.load(Ordering::Relaxed)
    }

    /// Takes one more of what is held by number, if the account may have it.
    pub fn hold(self: &Arc<Self>, what: Resource) -> Result<Hold, Exceeded> {
        let (Some(count), Some(of_all)) = (self.held.get(what.place()), self.shared.held.get(what.place())) else {
            return Err(Exceeded::Cap(what));
        };
        // Counted before it is looked at, so that sockets that come together are not all let in.
        let (mine, used) = (count.fetch_add(1, Ordering::AcqRel) + 1, of_all.used.fetch_add(1, Ordering::AcqRel) + 1);
        if mine == 1 {
            of_all.accounts.fetch_add(1, Ordering::AcqRel);
        }
        let hold = Hold { account: Arc::clone(self), what };
        let accounts = of_all.accounts.load(Ordering::Acquire);
        let mine = u64::from(mine);
        if self.caps().of(what).is_some_and(|most| mine > most.into()) {
            return Err(self.shared.exceeded(Exceeded::Cap(what)));
        }
        if self.has_share()
            && let capacity = of_all.capacity.load(Ordering::Relaxed)
            && let Some(most) = share(capacity, used, mine, accounts)
            && mine > most.max(least(capacity))
        {
            return Err(self.shared.exceeded(Exceeded::Share(what)));
        }
        Ok(hold)
    }

    /// Charges what is capped each second. If it is refused: when to retry, in ms.
    pub fn spend(&self, what: Resource, amount: u32, now: Millis) -> Result<(), (Exceeded, Millis)> {
        let Some(rate) = self.caps().of(what) else { return Ok(()) };
        let mut budgets = self.budgets();
        let Some(bucket) = budgets.rates.get_mut(what.place()) else { return Ok(()) };
        let taken = bucket.take(amount, rate, rate.saturating_mul(BURST_SECONDS), now);
        drop(budgets);
        taken.map_err(|wait| (self.shared.exceeded(Exceeded::Cap(what)), wait))
    }

    /// Charges an entry of the ledger. If it is refused: when to retry, in ms.
    pub fn append(&self, bytes: u32, now: Millis) -> Result<(), (Exceeded, Millis)> {
        self.spend(Resource::Ledger, bytes, now)?;
        let queue = &self.shared.queue;
        if !self.has_share() || !queue.is_known() || queue.append(&self.queued, bytes.into()) {
            return Ok(());
        }
        Err((self.shared.exceeded(Exceeded::Share(Resource::Ledger)), SCARCE_LEDGER))
    }

    /// Charges CPU time. Returns how long the client has to wait, in ms, before anything else is done for it; 0 as a rule, and then the clock
    /// is not read.
    pub fn spend_cpu(&self, time: Duration, now: impl FnOnce() -> Millis) -> Millis {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        if micros > 0 {
            self.cpu.fetch_add(micros, Ordering::Relaxed);
        }
        let capped = self.caps().of(Resource::Cpu);
        let allowance = match (capped, self.allowance.load(Ordering::Relaxed)) {
            (None, 0) => return 0,
            (Some(cap), 0) => cap,
            (cap, shared) => cap.map_or(shared, |cap| cap.min(shared)),
        };
        let amount = u32::try_from(micros).unwrap_or(u32::MAX);
        let mut budgets = self.budgets();
        let Some(bucket) = budgets.rates.get_mut(Resource::Cpu.place()) else { return 0 };
        // Twenty milliseconds' worth at once: for longer the node is not to be busy with one client.
        let wait = bucket.owe(amount, allowance, (allowance / 50).max(1), now());
        drop(budgets);
        if wait > 0 {
            let by =
                if capped == Some(allowance) { Exceeded::Cap(Resource::Cpu) } else { Exceeded::Share(Resource::Cpu) };
            self.shared.exceeded(by);
        }
        wait
    }

    /// How long the client has to wait, in ms, because it has used up its CPU time.
    pub fn cpu_debt(&self, now: impl FnOnce() -> Millis) -> Millis {
        self.spend_cpu(Duration::ZERO, now)
    }

    /// CPU time used since the node last looked, in microseconds.
    pub(super) fn cpu_since(&self) -> u64 {
        let cpu = self.cpu.load(Ordering::Relaxed);
        cpu - self.cpu_seen.swap(cpu, Ordering::Relaxed)
    }

    /// Charges a code that leads nowhere.
    pub fn miss_code(&self, now: Millis) {
        self.budgets().wrong_codes.owe(1, WRONG_CODES_PER_SECOND, WRONG_CODES, now);
    }

    /// Whether a code may be looked up: not while too many led nowhere. It says nothing of the code.
    pub fn may_try_code(&self, now: Millis) -> Result<(), Millis> {
        let mut copy = self.budgets().wrong_codes;
        self.judge_code(copy.take(1, WRONG_CODES_PER_SECOND, WRONG_CODES, now))
    }

    /// Charges the bytes of an answer about the node. Returns how long the client has to wait, in ms, before it is given another one.
    pub fn spend_numbers(&self, bytes: u32, now: Millis) -> Millis {
        if !self.has_share() {
            return 0;
        }
        self.budgets().numbers.owe(bytes, NUMBERS_BYTES, NUMBERS_BYTES.saturating_mul(BURST_SECONDS), now)
    }

    /// Whether the client may be given another answer about the node, or else how long it has to wait, in ms.
    pub fn may_read_numbers(&self, now: Millis) -> Result<(), Millis> {
        match self.spend_numbers(0, now) {
            0 => Ok(()),
            wait => {
                self.shared.exceeded(Exceeded::Share(Resource::Requests));
                Err(wait)
            }
        }
    }

    /// Charges a code for a room that does not exist, of which the node gives out `(per_second, burst)`, and `used` of the burst are gone. If
    /// it is refused: when to retry, in ms.
    pub fn new_code(&self, (per_second, burst): (u32, u32), used: u32, now: Millis) -> Result<(), Millis> {
        let mut budgets = self.budgets();
        let mine = budgets.new_codes.used(per_second, burst, now);
        let is_scarce = self.has_share()
            && share(burst.into(), used.into(), mine.into(), 1)
                .is_some_and(|most| u64::from(mine) >= most.max(least(burst.into())));
        if !is_scarce {
            budgets.new_codes.owe(1, per_second, burst, now);
            return Ok(());
        }
        drop(budgets);
        self.judge_code(Err(SCARCE_CODES))
    }

    fn judge_code(&self, taken: Result<(), Millis>) -> Result<(), Millis> {
        taken.inspect_err(|_| {
            self.shared.exceeded(Exceeded::Share(Resource::Codes));
        })
    }
}

impl Hold {
    /// The account that holds it.
    pub fn account(&self) -> &Arc<Account> {
        &self.account
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let place = self.what.place();
        if let (Some(held), Some(of_all)) = (self.account.held.get(place), self.account.shared.held.get(place)) {
            if held.fetch_sub(1, Ordering::AcqRel) == 1 {
                of_all.accounts.fetch_sub(1, Ordering::AcqRel);
            }
            of_all.used.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        account::{Accounts, Load, Of},
        clock::Millis,
        config::Caps,
        telemetry::Metrics,
    };

    #[test]
    fn answers_about_the_node_are_paid_by_their_length() {
        let capacity = Load { sockets: 10, connections: 10, rooms: 10 };
        let accounts = Accounts::new(Of::Addresses, capacity, true, Caps::default(), Metrics::new("a").into());
        let asker = accounts.of([192, 0, 2, 1].into(), 1_000);
        let mut now = 1_000;
        let mut ask = |every: Millis, bytes: u32| {
            let answered = (0..2_000).filter(|_| {
                now += every;
                asker.may_read_numbers(now).map(|()| asker.spend_numbers(bytes, now)).is_ok()
            });
            answered.count()
        };
        assert_eq!(ask(10, 27_000), 2_000, "a hundred scrapes a second");
        assert_eq!(ask(1, 500), 2_000, "whoever asks much and gets little");
        let flood = ask(0, 27_000);
        assert!((400..500).contains(&flood), "{flood} of three seconds' bytes");
        assert!(ask(1, 27_000) <= 300, "and then two seconds'");
        assert!(asker.may_read_numbers(now).is_err());
        let other = accounts.of([192, 0, 2, 2].into(), now);
        assert_eq!(other.may_read_numbers(now), Ok(()), "another has its own");
        asker.is_of_many();
        assert_eq!(asker.may_read_numbers(now), Ok(()), "behind a proxy there are many");
    }
}
