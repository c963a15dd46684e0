//! What every back end must do. The cases know only the traits of the ports: another implementation runs the same ones.

pub mod membership;
pub mod queue;
pub mod rooms;
pub mod signals;
pub mod tokens;

/// One test for each case, and each back end.
#[macro_export]
macro_rules! conformance {
    ($test:meta, $of:ident, [$($module:ident: $fixture:expr),* $(,)?], $cases:tt) => {
        $($crate::conformance!(@one $test, $of, $module, $fixture, $cases);)*
    };
    (@one $test:meta, $of:ident, $module:ident, $fixture:expr, [$($case:ident),* $(,)?]) => {
        mod $module {
            $(
                #[$test]
                async fn $case() {
                    $crate::conformance::$of::$case(&$fixture).await;
                }
            )*
        }
    };
}

/// All cases of rooms and short codes.
#[macro_export]
macro_rules! room_conformance {
    ($test:meta, $fixtures:tt) => {
        $crate::conformance!(
            $test,
            rooms,
            $fixtures,
            [
                a_code_belongs_to_one_room_until_it_expires,
                a_commit_reaches_every_subscriber_in_order,
                a_room_that_was_closed_begins_anew,
                a_room_that_was_lost_is_put_back_once,
                a_socket_is_asked_on_its_own_node,
                a_stale_commit_changes_nothing_and_tells_how_the_room_is,
                an_unknown_room_is_vacant,
                entries_reach_the_ledger_once_and_only_when_committed,
                five_hundred_members_fit_into_a_room,
                history_is_complete_or_absent,
                names_of_any_kind_do_not_run_into_each_other,
                nothing_comes_after_unsubscribing,
                of_two_founders_one_wins,
                racing_nodes_never_skip_or_repeat_a_version,
            ]
        );
    };
}

/// All cases of signals, and of the inboxes in which they wait.
#[macro_export]
macro_rules! signal_conformance {
    ($test:meta, $fixtures:tt) => {
        $crate::conformance!(
            $test,
            signals,
            $fixtures,
            [
                a_signal_finds_its_target_wherever_it_was_thought_to_be,
                a_signal_for_one_that_is_about_to_be_away_waits,
                a_signal_reaches_the_node_of_its_target,
                an_inbox_drops_what_its_greatest_sender_has_in_it,
                an_inbox_goes_with_its_member,
                an_inbox_keeps_the_newest_and_says_that_it_has_lost_some,
                signals_for_one_that_is_away_wait_in_order_and_once,
                what_is_missed_is_kept_for_as_long_as_the_seat,
            ]
        );
    };
}
