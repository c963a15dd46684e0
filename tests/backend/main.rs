//! What every back end must do. The cases know only the trait: another implementation runs the same ones by adding a line to the
//! end of this file.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub
)]

mod cases;
mod client;
mod corrupt;
mod double;
mod formats;
mod golden;
mod hubs;
mod inboxes;
mod membership;
mod panics;
mod queue;

use tandem_testkit::fixture;

/// One test for each case, and each back end.
macro_rules! conformance {
    ($of:ident, [$($module:ident: $fixture:expr),* $(,)?], $cases:tt) => {
        $(conformance!(@one $of, $module, $fixture, $cases);)*
    };
    (@one $of:ident, $module:ident, $fixture:expr, [$($case:ident),* $(,)?]) => {
        mod $module {
            $(
                #[tokio::test]
                async fn $case() {
                    crate::$of::$case(&$fixture).await;
                }
            )*
        }
    };
}

conformance!(
    cases,
    [
        in_memory: crate::fixture::MemoryFixture::default(),
        in_memory_cluster: crate::fixture::MemoryCluster::default(),
        in_redis: crate::fixture::RedisFixture::standalone(),
        in_redis_cluster: crate::fixture::RedisFixture::cluster(),
    ],
    [
        a_code_belongs_to_one_room_until_it_expires,
        a_commit_reaches_every_subscriber_in_order,
        a_room_that_was_closed_begins_anew,
        a_room_that_was_lost_is_put_back_once,
        a_signal_finds_its_target_wherever_it_was_thought_to_be,
        a_signal_reaches_the_node_of_its_target,
        a_socket_is_asked_on_its_own_node,
        a_stale_commit_changes_nothing_and_tells_how_the_room_is,
        an_inbox_goes_with_its_member,
        an_inbox_keeps_the_newest_and_says_that_it_has_lost_some,
        an_unknown_room_is_vacant,
        entries_reach_the_ledger_once_and_only_when_committed,
        five_hundred_members_fit_into_a_room,
        history_is_complete_or_absent,
        names_of_any_kind_do_not_run_into_each_other,
        nothing_comes_after_unsubscribing,
        of_two_founders_one_wins,
        racing_nodes_never_skip_or_repeat_a_version,
        signals_for_one_that_is_away_wait_in_order_and_once,
        what_is_missed_is_kept_for_as_long_as_the_seat,
    ]
);

conformance!(
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
    ]
);
