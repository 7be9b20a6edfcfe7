//! The kernel room against the kernel itself: as root, or as an ordinary user in a user namespace
//! of its own. It has a `main` of its own because namespaces are changed before there are threads.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

#[path = "kernel/flows.rs"]
mod flows;
#[path = "kernel/mounts.rs"]
mod mounts;
#[path = "kernel/outlet.rs"]
mod outlet;
#[path = "kernel/peers.rs"]
mod peers;
#[path = "kernel/sealed.rs"]
mod sealed;
#[path = "kernel/tunnel.rs"]
mod tunnel;

use belljar_linux::privilege;
use libtest_mimic::{Arguments, Failed, Trial};
use std::process::ExitCode;

type Outcome = Result<(), Failed>;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let entered = if arguments.list { Ok(None) } else { privilege::enter().map(Some) };
    let trial = |name: &str, test: fn(privilege::Privilege) -> Outcome| {
        let who = entered.as_ref().map_err(ToString::to_string).copied();
        Trial::test(name, move || match who {
            Ok(Some(privilege)) => test(privilege),
            Ok(None) => Err("not entered".into()),
            Err(e) => Err(format!("no namespaces to test in: {e}").into()),
        })
    };
    let trials = vec![
        trial("sealed::rules_decide_what_real_packets_meet", sealed::agreement),
        trial("sealed::a_broken_model_is_caught", sealed::mutations),
        trial("sealed::nft_lists_the_same_rules", sealed::nft_agrees),
        trial("sealed::without_rules_there_is_still_no_way_out", sealed::flushed),
        trial("sealed::every_attempt_is_heard_once", sealed::heard),
        trial("outlet::rules_decide_what_real_packets_meet", outlet::agreement),
        trial("outlet::what_is_carried_is_handed_over_as_it_was_meant", outlet::handed_over),
        trial("outlet::an_edge_passes_on_what_a_link_leads_to", outlet::edge),
        trial("outlet::only_a_way_by_a_router_leads_on", outlet::ways),
        trial("peers::instances_reach_each_other", peers::reach),
        trial("peers::and_nobody_else", peers::nobody_else),
        trial("peers::the_kernel_reads_back_what_is_meant", peers::read_back),
        trial("tunnel::the_kernel_reads_back_what_is_meant", tunnel::read_back),
        trial("tunnel::what_is_sent_is_read_and_what_is_written_received", tunnel::packets),
        trial("flows::records_of_real_packets", flows::records),
        trial("flows::every_packet_is_in_one_reading", flows::readings),
        trial("mounts::links_of_an_image_lead_nowhere", mounts::links),
        trial("mounts::a_root_is_assembled_from_layers", mounts::assembled),
        trial("mounts::a_folder_that_is_a_file_is_refused", mounts::file_in_the_way),
    ];
    libtest_mimic::run(&arguments, trials).exit_code()
}
