//! While a container serves there is `lo` alone, and no way out.

use crate::inside::{fact, read, scene};
use crate::{table, world};
use belljar_domain::Event;
use belljar_testkit::server::{assignment, serving};
use belljar_testkit::{As, Server};

#[test]
fn every_way_out_is_closed_while_requests_enter() {
    for who in As::all() {
        let scene = scene(who);
        let mut named = serving();
        // As the table has it.
        named.container = "algo-1".to_owned();
        let mut server = Server::start(&scene, &assignment(&scene, "i-1-1", &[], named), &[]);
        server.until_healthy();
        let (status, said) = server.invoke("attempts");
        assert_eq!(status, 200, "{said}");
        let lines = read(said.lines());
        let ways = table::ways();
        for way in &ways {
            let seen = &lines[way.name];
            // A container that serves is promised no folder but the model's.
            let none = way.why == "owned" && seen.result == "absent";
            let as_is = way.inside.contains(&seen.result.as_str());
            assert!(as_is || none, "{who:?} {}: {seen:?}", way.name);
        }
        let control = world::attempts(&scene);
        for way in &ways {
            let accepted = if who == As::Root { &way.root } else { &way.user };
            let seen = &control[way.name];
            assert!(accepted.contains(&seen.result.as_str()), "{who:?} control: {}", way.name);
        }
        assert_eq!(*fact(&lines, "interfaces"), serde_json::json!(["lo"]), "{who:?}");
        assert_eq!(server.request("GET", "/ping", "").0, 200, "{who:?}: requests still enter");
        let sealed = server.events().into_iter().find_map(|e| match e {
            Event::Sealed { seal, .. } => Some(seal),
            _ => None,
        });
        assert_eq!(sealed.unwrap().interfaces, ["lo"], "{who:?}");
        let report = server.stop();
        assert!(report.attempts.total() > 10, "{who:?}: {:?}", report.attempts);
    }
}

/// The connection that was handed out leads to the container, and the container cannot use it to
/// reach anything of the host.
#[test]
fn what_listens_on_the_host_at_that_port_is_not_met() {
    let scene = scene(As::User);
    let mut server = Server::start(&scene, &assignment(&scene, "i-2-1", &[], serving()), &[]);
    server.until_healthy();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let target = listener.local_addr().unwrap().to_string();
    let control = crate::inside::outside(&scene, &["attempts", "--outside", &target]);
    assert_eq!(control[&target].result, "ok");
    let (_, said) = server.invoke(&format!("attempts --outside {target}"));
    assert_eq!(read(said.lines())[&target].result, "refused");
    let _report = server.stop();
}
