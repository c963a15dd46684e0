//! Back ends: the conformance suite of [`tandem_testkit`] on each of them, and what is true of some of them only.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub
)]

mod another_server;
mod client;
mod closed;
mod corrupt;
mod displaced;
mod double;
mod formats;
mod golden;
mod histories;
mod history;
mod hubs;
mod inboxes;
mod panics;

use tandem_testkit::{conformance, fixture, room_conformance, signal_conformance};

room_conformance!(
    tokio::test,
    [
        in_memory: crate::fixture::MemoryFixture::default(),
        in_memory_cluster: crate::fixture::MemoryCluster::default(),
        in_redis: crate::fixture::RedisFixture::standalone(),
        in_redis_cluster: crate::fixture::RedisFixture::cluster(),
    ]
);

signal_conformance!(
    tokio::test,
    [
        signals_in_memory: crate::fixture::MemoryFixture::default(),
        signals_in_memory_cluster: crate::fixture::MemoryCluster::default(),
        signals_in_redis: crate::fixture::RedisFixture::standalone(),
        signals_in_redis_cluster: crate::fixture::RedisFixture::cluster(),
    ]
);

conformance!(
    tokio::test,
    membership,
    [
        members_in_memory: crate::fixture::MemoryCluster::default(),
        members_in_redis: crate::fixture::RedisFixture::standalone(),
        members_in_redis_cluster: crate::fixture::RedisFixture::cluster(),
    ],
    [
        a_dead_node_is_removed_unless_it_lives,
        a_node_that_leaves_holds_nothing_and_is_not_dead,
        a_node_whose_lease_runs_out_is_dead_to_the_others_and_knows_it,
        a_room_is_due_until_it_is_not,
        nodes_of_another_secret_are_refused,
        one_node_takes_over_the_rooms_of_a_dead_one,
        rooms_of_an_earlier_process_of_the_name_are_abandoned,
        the_newer_process_has_the_name,
        there_is_one_clock,
    ]
);

conformance!(
    tokio::test,
    queue,
    [
        queue_in_memory: crate::fixture::MemoryCluster::default(),
        queue_in_redis: crate::fixture::RedisFixture::standalone(),
        queue_in_redis_cluster: crate::fixture::RedisFixture::cluster(),
    ],
    [
        entries_stay_in_the_hand_of_a_worker_until_they_are_acknowledged,
        idle_workers_are_forgotten_and_busy_ones_are_not,
        two_workers_share_the_entries,
        what_a_dead_worker_had_in_hand_is_taken_over,
        what_one_worker_has_in_hand_stays_when_another_is_done,
    ]
);

conformance!(
    tokio::test,
    tokens,
    [
        tokens_in_sqlite: crate::fixture::MemoryFixture::default(),
        tokens_in_redis: crate::fixture::RedisFixture::standalone(),
        tokens_in_redis_cluster: crate::fixture::RedisFixture::cluster(),
    ],
    [
        an_invitation_is_used_as_often_as_it_may_be,
        every_node_reads_what_was_revoked_in_order,
        many_revocations_are_read_page_by_page,
        of_many_at_once_only_so_many_get_a_use,
        what_is_over_makes_place,
    ]
);
