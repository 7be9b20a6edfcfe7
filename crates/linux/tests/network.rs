//! VPCs in namespaces: what `reach` explains, what the compiled rules say and what becomes of a real
//! packet must be one answer. As root, or as an ordinary user in a user namespace.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

#[path = "network/agree.rs"]
mod agree;
#[path = "network/atomic.rs"]
mod atomic;
#[path = "network/closed.rs"]
mod closed;
#[path = "network/errors.rs"]
mod errors;
#[path = "network/explained.rs"]
mod explained;
#[path = "network/large.rs"]
mod large;
#[path = "network/mutants.rs"]
mod mutants;
#[path = "network/packet.rs"]
mod packet;
#[path = "network/random.rs"]
mod random;
#[path = "network/scene.rs"]
mod scene;
#[path = "network/walk.rs"]
mod walk;
#[path = "network/wire.rs"]
mod wire;

use belljar_linux::privilege;
use libtest_mimic::{Arguments, Failed, Trial};
use std::process::ExitCode;

type Outcome = Result<(), Failed>;

fn main() -> ExitCode {
    if atomic::apply_forever().is_some() {
        return ExitCode::SUCCESS;
    }
    let mut arguments = Arguments::from_args();
    // One CPU deals with all packets of a test in their order.
    arguments.test_threads = Some(1);
    let entered = if arguments.list { Ok(None) } else { privilege::enter().map(Some) };
    let trial = |name: &str, test: fn() -> Outcome| {
        let who = entered.as_ref().map_err(ToString::to_string).copied();
        Trial::test(name, move || match who {
            Ok(Some(_)) => test(),
            Ok(None) => Err("not entered".into()),
            Err(e) => Err(format!("no namespaces to test in: {e}").into()),
        })
    };
    let trials = vec![
        trial("explained::what_is_explained_is_what_the_rules_say", explained::cases),
        trial("agree::what_the_rules_say_becomes_of_real_packets", agree::real_packets),
        trial("atomic::no_packet_passes_that_old_and_new_rules_forbid", atomic::under_load),
        trial("atomic::who_is_killed_leaves_old_rules_or_new_ones", atomic::killed),
        trial("closed::nothing_passes_before_there_are_rules", closed::until_loaded),
        trial("errors::what_they_quote_is_translated", errors::quoted),
        trial("large::a_further_interface_is_a_few_elements", large::one_more),
        trial("large::a_change_that_is_too_large_changes_nothing", large::too_large),
        trial("mutants::a_broken_rule_is_caught", mutants::caught),
    ];
    libtest_mimic::run(&arguments, trials).exit_code()
}
