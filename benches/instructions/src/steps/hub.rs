use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use clap::{Args as _, FromArgMatches as _};
use futures_util::FutureExt as _;
use tandem::{
    backend::{Memory, MemoryLedger, Retention},
    clock::Clock,
    config::IceConfig,
    hub::{Hub, JoiningSocket, Membership, Outbox, Parts},
    ledger::LocalTokens,
    protocol::{ClientMessage, Frame, Generation, MemberMessage, decode},
    room::Policy,
    telemetry::Metrics,
};

use super::{
    decode::offer,
    people::{conn, join, node, play, room},
};
use crate::step::Step;

/// Bytes that may wait for a member.
const BUDGET: usize = 512 * 1024;

/// After this number of changes the history of a room no longer grows.
const WARM: u64 = 520;

/// In how many nodes it is done: the hash tables of each have keys of their own, and an average of them is the same each time.
const HOUSES: u64 = 8;

/// The way through a node: decided, committed in memory, told to all who are here.
pub(crate) fn steps() -> Vec<Step> {
    vec![
        Step { name: "outbox/push_16_and_take", times: 2_000, run: pushing },
        Step { name: "hub/play_to_4", times: 4_000, run: |times| finished(playing(times)) },
        Step { name: "hub/offer_to_1", times: 2_000, run: |times| finished(signalling(times)) },
        Step { name: "hub/join_and_leave_of_4", times: 1_600, run: |times| finished(coming(times)) },
    ]
}

/// Nothing here waits, so no cost of a runtime is counted.
fn finished(work: impl Future<Output = Result<()>>) -> Result<()> {
    work.now_or_never().context("something waits")?
}

fn pushing(times: u64) -> Result<()> {
    let frame = Frame::from("x".repeat(300));
    let outbox = Outbox::new(BUDGET);
    for _ in 0..times {
        for _ in 0..16 {
            outbox.push(frame.clone());
        }
        ensure!(outbox.take().now_or_never().is_some_and(|batch| batch.frames.len() == 16), "frames are missing");
    }
    Ok(())
}

/// A node with one room.
struct House {
    hub: Arc<Hub>,
    seats: Vec<(Membership, Arc<Outbox>)>,
}

impl House {
    async fn of(members: u64) -> Result<Self> {
        let parts = Parts {
            node: node()?,
            clock: Clock::system(),
            policy: Policy::default(),
            metrics: Arc::new(Metrics::new("node-1")),
            ping_interval: 30_000,
            ice: ice()?,
            archive: None,
        };
        let tokens = LocalTokens::in_memory();
        let (memory, node) = (Memory::single(Retention::default(), MemoryLedger::None, 10, tokens), node()?);
        let hub = Hub::new(parts, |events| memory.connect(node, events, None));
        let mut house = Self { hub, seats: Vec::new() };
        for number in 0..members {
            let seat = house.enter(number).await?;
            house.seats.push(seat);
        }
        house.empty()?;
        Ok(house)
    }

    async fn enter(&self, number: u64) -> Result<(Membership, Arc<Outbox>)> {
        let outbox = Arc::new(Outbox::new(BUDGET));
        let joining_socket = JoiningSocket {
            account: None,
            conn: conn(number),
            outbox: Arc::clone(&outbox),
            generation: Generation::Current,
            features: &[],
            token: Some("token".into()),
            missed: None,
        };
        let (seat, _) = self.hub.join(&room()?, join(number)?, joining_socket).await?;
        Ok((seat, outbox))
    }

    /// Takes the waiting frames of all members; a member without any was forgotten.
    fn empty(&self) -> Result<()> {
        let forgotten = self.seats.iter().any(|(_, outbox)| outbox.take().now_or_never().is_none());
        if forgotten {
            bail!("somebody was told nothing");
        }
        Ok(())
    }

    fn host(&self) -> Result<&Membership> {
        self.seats.first().map(|(seat, _)| seat).context("nobody is here")
    }
}

fn ice() -> Result<IceConfig> {
    let command = IceConfig::augment_args(clap::Command::new("ice").no_binary_name(true));
    Ok(IceConfig::from_arg_matches(&command.try_get_matches_from([""; 0])?)?)
}

async fn playing(times: u64) -> Result<()> {
    for _ in 0..HOUSES {
        let house = House::of(4).await?;
        for _ in 0..WARM + times / HOUSES {
            house.hub.act(house.host()?, play()).await?;
            house.empty()?;
        }
    }
    Ok(())
}

async fn signalling(times: u64) -> Result<()> {
    let message = decode(&offer()).ok().map(|inbound| inbound.message);
    let Some(ClientMessage::Member(MemberMessage::Signal(signal))) = message else { bail!("not a signal") };
    for _ in 0..HOUSES {
        let house = House::of(2).await?;
        let (_, outbox) = house.seats.last().context("nobody is here")?;
        for _ in 0..times / HOUSES {
            house.hub.signal(house.host()?, &signal).await?;
            ensure!(outbox.take().now_or_never().is_some(), "the signal is lost");
        }
    }
    Ok(())
}

async fn coming(times: u64) -> Result<()> {
    for _ in 0..HOUSES {
        let house = House::of(3).await?;
        for _ in 0..times / HOUSES {
            let (seat, outbox) = house.enter(3).await?;
            ensure!(outbox.take().now_or_never().is_some(), "no ROOM_STATE");
            house.hub.disconnect(&seat, false).await?;
            house.empty()?;
        }
    }
    Ok(())
}
