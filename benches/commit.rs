//! One commit, in memory and over a real `redis-server`, one after the other and many at once: `cargo bench --bench commit`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub
)]

use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tandem::{backend::Commit, room::Action};
use tokio::runtime::Runtime;

use tandem_testkit::fixture::{Fixture, MemoryFixture, Node, RedisFixture, act, join, room};

/// Rooms that commit at once.
const ROOMS: usize = 32;

async fn seated(fixture: &impl Fixture, count: usize) -> Vec<Node> {
    let mut nodes = Vec::new();
    for number in 0..count {
        let mut node = Node::subscribed(fixture, &format!("node-{number}"), &room(&format!("room-{number}"))).await;
        for user in ["ana", "bo", "cy", "di"] {
            assert_eq!(node.commit(&join(user, "node", false)).await, Commit::Applied);
        }
        nodes.push(node);
    }
    nodes
}

async fn play(node: &mut Node) {
    let action = Action::PlayPause { playing: true, position: Some(41.5), event: None, rate: None };
    assert_eq!(node.commit(&act("ana", action)).await, Commit::Applied);
    // A queue that a bench never reads would only grow.
    node.heard.updates.lock().unwrap().clear();
}

fn one_by_one(c: &mut Criterion, name: &str, runtime: &Runtime, fixture: &impl Fixture) {
    let mut nodes = runtime.block_on(seated(fixture, 1));
    c.bench_function(name, |b| {
        b.iter_custom(|times| {
            runtime.block_on(async {
                let begun = Instant::now();
                for _ in 0..times {
                    play(&mut nodes[0]).await;
                }
                begun.elapsed()
            })
        });
    });
}

fn at_once(c: &mut Criterion, name: &str, runtime: &Runtime, fixture: &impl Fixture) {
    let mut nodes = runtime.block_on(seated(fixture, ROOMS));
    let mut group = c.benchmark_group(name);
    group.throughput(Throughput::Elements(ROOMS as u64));
    group.bench_function(format!("{ROOMS}_rooms"), |b| {
        b.iter_custom(|times| {
            runtime.block_on(async {
                let begun = Instant::now();
                for _ in 0..times {
                    futures_util::future::join_all(nodes.iter_mut().map(play)).await;
                }
                begun.elapsed()
            })
        });
    });
}

fn commits(c: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let _inside = runtime.enter();
    one_by_one(c, "commit/memory", &runtime, &MemoryFixture::default());
    let redis = RedisFixture::standalone();
    one_by_one(c, "commit/redis", &runtime, &redis);
    at_once(c, "commit/redis_at_once", &runtime, &RedisFixture::standalone());
}

criterion_group! {
    name = all;
    config = Criterion::default().measurement_time(Duration::from_secs(3)).sample_size(20);
    targets = commits
}
criterion_main!(all);
