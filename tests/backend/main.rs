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
mod fixture;
mod hubs;

/// One test for each case.
macro_rules! conformance {
    ($module:ident, $fixture:expr, [$($case:ident),* $(,)?]) => {
        mod $module {
            $(
                #[tokio::test]
                async fn $case() {
                    crate::cases::$case(&$fixture).await;
                }
            )*
        }
    };
}

conformance!(
    memory,
    crate::fixture::MemoryFixture::default(),
    [
        an_unknown_room_is_vacant,
        a_commit_reaches_every_subscriber_in_order,
        a_stale_commit_changes_nothing_and_tells_how_the_room_is,
        of_two_founders_one_wins,
        a_room_that_was_closed_begins_anew,
        nothing_comes_after_unsubscribing,
        racing_nodes_never_skip_or_repeat_a_version,
        history_is_complete_or_absent,
        a_signal_reaches_the_node_of_its_target,
        signals_for_one_that_is_away_wait_in_order_and_once,
        an_inbox_goes_with_its_member,
        a_code_belongs_to_one_room_until_it_expires,
        entries_reach_the_ledger_once_and_only_when_committed,
    ]
);
