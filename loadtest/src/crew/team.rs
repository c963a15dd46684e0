use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};
use futures_util::future::try_join_all;

use super::{Answer, Hand, Order, Remote};
use crate::{
    fleet::Cast,
    haul::Haul,
    progress::Progress,
    units::{float, micros},
};

/// How far ahead a round is planned, so that its first message is not late.
const LEAD: Duration = Duration::from_millis(50);

/// All generators of a run.
#[derive(Debug)]
pub(crate) struct Crew {
    hands: Hands,
    /// Rooms of each.
    rooms: Vec<u32>,
    sockets: u32,
    generation: u32,
}

#[derive(Debug)]
enum Hands {
    /// This process.
    Own(Box<Hand>),
    /// Others.
    Remote(Vec<Remote>),
}

impl Crew {
    /// This process alone. Nobody is in yet.
    pub(crate) fn new(cast: Cast) -> Self {
        let (rooms, sockets) = (vec![cast.rooms], cast.sockets());
        Self { hands: Hands::Own(Box::new(Hand::new(cast))), rooms, sockets, generation: 0 }
    }

    /// A process for each of these casts.
    pub(super) async fn of(casts: Vec<Cast>) -> Result<Self> {
        let rooms = casts.iter().map(|cast| cast.rooms).collect();
        let sockets = casts.iter().map(Cast::sockets).sum();
        let hands = try_join_all(casts.iter().map(Remote::start)).await?;
        Ok(Self { hands: Hands::Remote(hands), rooms, sockets, generation: 0 })
    }

    /// Clients, when all are in.
    pub(crate) fn sockets(&self) -> u32 {
        self.sockets
    }

    /// Has each hand do something, all at the same time.
    async fn all(&mut self, orders: Vec<Order>, progress: &Progress) -> Result<Vec<Answer>> {
        match &mut self.hands {
            Hands::Own(hand) => {
                let mut answers = Vec::new();
                for order in orders {
                    answers.push(hand.obey(order, progress).await?);
                }
                Ok(answers)
            }
            Hands::Remote(hands) => try_join_all(hands.iter_mut().zip(orders).map(|(it, order)| it.obey(order))).await,
        }
    }

    fn each(&self, order: Order) -> Vec<Order> {
        vec![order; self.rooms.len()]
    }

    /// Brings all clients in; how many joined in a second.
    pub(crate) async fn gather(&mut self, progress: &Progress) -> Result<f64> {
        let begun = Instant::now();
        let orders = self.each(Order::Gather { generation: self.generation });
        self.all(orders, progress).await?;
        Ok(float(self.sockets.into()) / begun.elapsed().as_secs_f64().max(f64::EPSILON))
    }

    /// One round of `per_second` messages a second in all.
    pub(crate) async fn round(&mut self, per_second: u64, seconds: u32, progress: &Progress) -> Result<Haul> {
        let at = micros(SystemTime::now().duration_since(UNIX_EPOCH)? + LEAD);
        let mut orders = Vec::new();
        for (number, share) in (0_u64..).zip(shares(per_second, &self.rooms)) {
            // They take turns, as the rooms of each do.
            let at_micros = at + number * 1_000_000 / per_second.max(1);
            orders.push(Order::Round { at_micros, per_second: share, seconds });
        }
        let mut all = Haul::new()?;
        for answer in self.all(orders, progress).await? {
            match answer {
                Answer::Round(haul) => all.add(*haul)?,
                odd => bail!("an odd answer: {odd:?}"),
            }
        }
        Ok(all)
    }

    /// From here on they go into other rooms, which nobody knows.
    pub(crate) fn forget_rooms(&mut self) {
        self.generation += 1;
    }

    /// Breaks all sockets at once.
    pub(crate) async fn scatter(&mut self, progress: &Progress) -> Result<()> {
        let orders = self.each(Order::Scatter);
        self.all(orders, progress).await?;
        Ok(())
    }

    /// How many sockets were closed, or told of an error, since the last round; and the first of that.
    pub(crate) async fn complaints(&mut self, progress: &Progress) -> Result<(u64, Option<String>)> {
        let orders = self.each(Order::Complaints);
        let (mut all, mut first) = (0, None);
        for answer in self.all(orders, progress).await? {
            match answer {
                Answer::Complaints(count, own) => {
                    all += count;
                    first = first.or(own);
                }
                odd => bail!("an odd answer: {odd:?}"),
            }
        }
        Ok((all, first))
    }
}

/// A rate by the rooms that each has, without anything lost by rounding.
fn shares(per_second: u64, rooms: &[u32]) -> Vec<u64> {
    let all: u64 = rooms.iter().copied().map(u64::from).sum();
    let (mut before, mut given) = (0, 0);
    let share = |own: &u32| {
        before += u64::from(*own);
        let until = per_second * before / all.max(1);
        let share = until - given;
        given = until;
        share
    };
    rooms.iter().map(share).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_shared_out_by_rooms() {
        assert_eq!(shares(1_000, &[50, 50]), [500, 500]);
        assert_eq!(shares(1_000, &[1, 2]), [333, 667]);
        assert_eq!(shares(10, &[3, 3, 3]).iter().sum::<u64>(), 10);
        assert_eq!(shares(7, &[9]), [7]);
    }
}
