//! Scenarios in network namespaces: real kernel, real sockets, our real binaries.
//!
//! The binary first moves into a sandbox of its own (see `sandbox`), which the kernel takes apart
//! when it ends, however it ends. Scenarios run one at a time; each file draws its topology on top.
//!
//! `MCR_VERIFY=1` (set by `make verify`) scales the counts up to the full acceptance numbers.

mod bad_frames;
mod bookkeeping;
mod churn;
mod control_abuse;
mod control_killed;
mod data_plane_process;
mod fallback;
mod fan_out;
mod fields;
mod forward;
mod fragments;
mod group_limits;
mod handover;
mod igmp_demand;
mod igmp_hosts;
mod igmp_peers;
mod igmp_scale;
mod igmp_upstream;
mod igmp_video;
mod igmp_wire;
mod instruments;
mod kernel_drop;
mod lab;
mod leaves_nothing;
mod loops;
mod many_groups;
mod matrix;
mod named_failures;
mod own_source;
mod pending;
mod rate_limit;
mod reload;
mod returned_index;
mod rule_changes;
mod sandbox;
mod scale;
mod selectors_churn;
mod shards;
mod two_relays;
mod two_sources;
mod unicast;
mod upgrade;

use lab::Lab;
use libtest_mimic::{Arguments, Completion, Trial};
use std::process::ExitCode;

/// A scenario panics when it fails.
type Scenario = fn(&Lab);

const SCENARIOS: &[(&str, Scenario)] = &[
    ("leaves_nothing::a_killed_run_leaves_nothing_behind", leaves_nothing::a_killed_run),
    ("instruments::they_measure_what_they_say", instruments::measure),
    ("instruments::frames_taps_and_counters_agree_with_the_kernel", instruments::wire),
    ("instruments::the_generator_sees_what_was_sent", instruments::generator),
    ("kernel_drop::the_kernel_drops_an_unroutable_source", kernel_drop::unroutable_source),
    ("forward::one_group_to_two_groups_and_a_unicast_address", forward::fan_out),
    ("two_sources::both_arrive_and_can_be_told_apart", two_sources::any_source),
    ("two_sources::a_rule_with_a_source_lets_only_that_one_through", two_sources::one_source),
    ("own_source::our_own_packets_are_not_forwarded_again", own_source::not_forwarded),
    ("unicast::the_exit_of_a_tunnel_and_an_output_by_routing", unicast::tunnel_exit),
    ("pending::a_rule_follows_its_interfaces", pending::follows_interfaces),
    ("reload::an_unchanged_rule_loses_nothing", reload::unchanged_rule),
    ("reload::a_bad_file_changes_nothing", reload::bad_file),
    ("bad_frames::each_has_a_named_counter", bad_frames::named_counters),
    ("control_abuse::the_stream_does_not_notice", control_abuse::stream_unharmed),
    ("data_plane_process::control_is_killed_and_comes_again", data_plane_process::control_killed),
    ("data_plane_process::the_data_plane_is_killed", data_plane_process::plane_killed),
    ("data_plane_process::nonsense_at_its_socket", data_plane_process::nonsense),
    ("control_killed::during_swaps", control_killed::during_swaps),
    ("control_killed::during_churn", control_killed::during_churn),
    ("control_killed::under_load", control_killed::under_load),
    ("upgrade::control_again_and_again", upgrade::again_and_again),
    ("handover::the_data_plane_is_replaced", handover::replaced),
    ("handover::a_hand_over_is_interrupted", handover::interrupted),
    ("fallback::system_calls_forward_and_say_why", fallback::syscalls),
    ("many_groups::five_hundred_groups_from_three_sources", many_groups::five_hundred),
    ("churn::an_interface_comes_and_goes", churn::recreated),
    ("returned_index::another_interface_under_the_same_index", returned_index::unseen),
    ("group_limits::more_groups_than_the_filter_tells_apart", group_limits::beyond_the_filter),
    ("fields::every_field_in_what_leaves", fields::every_row),
    ("fields::selectors_bind_to_what_appears_later", fields::appearing),
    ("fields::programs_on_this_host", fields::local),
    ("fields::a_group_that_is_not_joined", fields::never_joined),
    ("fields::trains_and_checksums_left_to_the_device", fields::trains),
    ("fragments::datagrams_arrive_whole", fragments::whole),
    ("fragments::what_never_becomes_whole_is_bounded_and_counted", fragments::bounded),
    ("bookkeeping::the_kernel_drops_what_a_stopped_relay_does_not_take", bookkeeping::kernel_drops),
    ("bookkeeping::a_slow_interface_refuses", bookkeeping::slow_output),
    ("bookkeeping::an_output_without_carrier", bookkeeping::no_carrier),
    ("bookkeeping::a_filtered_source_and_a_ttl_that_ends", bookkeeping::filtered_and_expired),
    (
        "named_failures::a_filter_that_refuses_and_a_link_that_goes_down",
        named_failures::filter_and_link,
    ),
    ("named_failures::a_small_mtu_cuts", named_failures::small_mtu_fragment),
    ("named_failures::a_small_mtu_drops", named_failures::small_mtu_drop),
    ("two_relays::each_datagram_goes_round_eight_times", two_relays::bounded),
    ("two_relays::a_kept_source_ends_with_its_ttl", two_relays::kept_source),
    ("loops::a_rule_does_not_feed_itself", loops::own_tail),
    ("loops::a_circle_of_rules_is_cut", loops::circle),
    ("selectors_churn::another_output_does_not_notice", selectors_churn::come_and_go),
    ("shards::several_workers_serve_one_interface", shards::several_workers),
    ("shards::fragments_of_a_datagram_meet", shards::fragments),
    ("shards::a_shard_that_is_moved_loses_nothing", shards::moved),
    ("rate_limit::others_lose_nothing", rate_limit::others_lose_nothing),
    ("fan_out::thirty_of_thirty_two_outputs_lose_nothing", fan_out::thirty_of_thirty_two),
    ("scale::ten_thousand_rules", scale::ten_thousand),
    ("scale::rules_of_an_earlier_relay_and_back_and_forth", scale::saved_and_loaded),
    ("rule_changes::answered_when_the_workers_have_it", rule_changes::answered_when_done),
    ("rule_changes::one_by_one_and_as_a_whole", rule_changes::one_by_one_and_as_a_whole),
    ("igmp_hosts::i_1_thirty_groups_of_each_version", igmp_hosts::i_1_each_version),
    ("igmp_hosts::i_2_v3_13_source_filters_are_on_the_wire", igmp_hosts::i_2_source_filters),
    (
        "igmp_wire::v2_1_v2_2_v2_3_v3_1_general_queries",
        igmp_wire::v2_1_v2_2_v2_3_v3_1_general_queries,
    ),
    (
        "igmp_wire::v2_6_v2_7_v3_5_v3_7_v3_8_questions_after_a_leave",
        igmp_wire::v2_6_v2_7_v3_5_v3_7_v3_8_questions_after_a_leave,
    ),
    (
        "igmp_wire::v2_10_v2_11_v2_12_v2_13_v3_2_v3_10_v3_11_what_reports_do",
        igmp_wire::v2_10_v2_11_v2_12_v2_13_v3_2_v3_10_v3_11_what_reports_do,
    ),
    (
        "igmp_wire::v2_4_v2_8_v2_9_v3_8_v3_9_another_querier",
        igmp_wire::v2_4_v2_8_v2_9_v3_8_v3_9_another_querier,
    ),
    ("igmp_peers::i_3_v2_4_v3_9_frr_is_elected_and_dies", igmp_peers::i_3_frr_is_elected),
    ("igmp_peers::i_4_v3_12_frr_speaks_version_2", igmp_peers::i_4_frr_speaks_version_2),
    ("igmp_peers::i_5_a_snooping_bridge", igmp_peers::i_5_a_snooping_bridge),
    ("igmp_peers::i_6_igmpproxy_below_us", igmp_peers::i_6_igmpproxy_below),
    ("igmp_peers::i_6_we_are_the_proxy", igmp_peers::i_6_we_are_the_proxy),
    ("igmp_demand::a_join_starts_and_a_leave_stops", igmp_demand::a_join_starts_and_a_leave_stops),
    ("igmp_demand::a_second_receiver_is_not_cut", igmp_demand::a_second_receiver_is_not_cut),
    ("igmp_demand::joins_beside_a_stream", igmp_demand::joins_beside_a_stream),
    ("igmp_upstream::our_own_reports_reach_frr", igmp_upstream::our_own_reports_reach_frr),
    (
        "igmp_upstream::control_is_killed_among_members",
        igmp_upstream::control_is_killed_among_members,
    ),
    ("igmp_upstream::a_lost_link_is_asked_on_again", igmp_upstream::a_lost_link_is_asked_on_again),
    ("igmp_video::receivers_come_and_go", igmp_video::receivers_come_and_go),
    ("igmp_scale::many_groups_at_once", igmp_scale::many_groups_at_once),
    ("igmp_scale::interfaces_come_and_go", igmp_scale::interfaces_come_and_go),
    ("igmp_scale::a_flood_of_reports", igmp_scale::a_flood_of_reports),
    ("matrix::every_payload_once_unchanged_in_order", matrix::all_cells),
];

/// Runs only where an earlier program is given.
const FROM_PREVIOUS: (&str, Scenario) =
    ("upgrade::from_an_earlier_program", upgrade::from_previous);

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Scenarios measure rates and times; on few cores they would disturb each other.
    arguments.test_threads = Some(1);
    if arguments.list {
        return libtest_mimic::run(&arguments, trials(None)).exit_code();
    }
    match sandbox::enter() {
        sandbox::Entered::Inside => {}
        sandbox::Entered::Ended(code) => return code,
        sandbox::Entered::Refused(reason) => return refused(&arguments, &reason),
    }
    if std::env::var_os(leaves_nothing::HANG).is_some() {
        leaves_nothing::hang();
    }
    libtest_mimic::run(&arguments, trials(None)).exit_code()
}

/// Without a sandbox nothing can run. In CI that is a failure; elsewhere every test says why.
fn refused(arguments: &Arguments, reason: &str) -> ExitCode {
    eprintln!("network namespaces cannot be used here: {reason}");
    let conclusion = libtest_mimic::run(arguments, trials(Some(reason)));
    let selected = conclusion.num_ignored + conclusion.num_passed + conclusion.num_failed;
    if in_ci() && selected > 0 {
        eprintln!("CI=true: scenarios that cannot run are failures");
        return ExitCode::FAILURE;
    }
    conclusion.exit_code()
}

/// All scenarios; with `cannot_run` each of them is ignored with that reason.
fn trials(cannot_run: Option<&str>) -> Vec<Trial> {
    let given = upgrade::previous().map(|_| &FROM_PREVIOUS);
    let scenarios = SCENARIOS.iter().chain(given).map(|&(name, scenario)| {
        let cannot_run = cannot_run.map(str::to_owned);
        Trial::ignorable_test(name, move || {
            if let Some(reason) = cannot_run {
                return Ok(Completion::ignored_with(reason));
            }
            // The only place that decides whether a scenario may be left out; see skips.txt.
            if let Some(reason) = sandbox::allowed_skip(name) {
                return Ok(Completion::ignored_with(reason));
            }
            let lab = Lab::new(name);
            scenario(&lab);
            Ok(Completion::Completed)
        })
    });
    scenarios
        .chain([Trial::test("skips::the_list_is_well_formed", skips_are_well_formed)])
        .collect()
}

fn skips_are_well_formed() -> Result<(), libtest_mimic::Failed> {
    for (name, reason) in sandbox::skips() {
        if !SCENARIOS.iter().any(|(known, _)| *known == name) {
            return Err(format!("skips.txt names \"{name}\", which is no scenario").into());
        }
        if reason.is_empty() {
            return Err(format!("skips.txt gives no reason for \"{name}\"").into());
        }
    }
    Ok(())
}

fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}
