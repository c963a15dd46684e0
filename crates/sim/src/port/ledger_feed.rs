use async_trait::async_trait;
use tandem::backend::{BackendError, Backlog, LedgerFeed};

use super::port::Port;

impl Port {
    /// Appends the entries of this node again that the store has lost.
    pub(super) async fn append_lost(&self) -> Result<(), BackendError> {
        let retained = self.retained.lock().unwrap().clone();
        let moved = self.ask(move |bus| {
            let (mut moved, now) = (Vec::new(), bus.now());
            for (number, entry) in retained {
                if bus.store.queue.get(number) != Some(&entry) {
                    moved.push((number, bus.store.append(&entry, now), entry));
                }
            }
            moved
        });
        let moved = moved.await?;
        let mut retained = self.retained.lock().unwrap();
        for (before, _, _) in &moved {
            retained.remove(before);
        }
        retained.extend(moved.into_iter().map(|(_, now, entry)| (now, entry)));
        Ok(())
    }
}

#[async_trait]
impl LedgerFeed for Port {
    async fn poll_backlog(&self) -> Result<Backlog, BackendError> {
        let retained: Vec<u64> = self.retained.lock().unwrap().keys().copied().collect();
        let (gone, entries) = self
            .ask(move |bus| {
                let queue = &bus.store.queue;
                let gone: Vec<u64> = retained.into_iter().filter(|number| !queue.contains(*number)).collect();
                (gone, queue.len())
            })
            .await?;
        for number in gone {
            self.retained.lock().unwrap().remove(&number);
        }
        Ok(Backlog { entries, most_bytes: 1, ..Backlog::default() })
    }
}
