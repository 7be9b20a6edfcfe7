//! A container that takes more memory than it was given.

use crate::leftovers::Footprint;
use crate::run::{assert_clean, kept_report, reason, scene, training};
use belljar_testkit::As;

#[test]
fn a_container_out_of_memory_says_so() {
    for who in As::all() {
        let scene = scene(who);
        let hog = training(&scene, "hog", &["hog-memory", "400000000"]).option("--memory", "64m");
        let run = hog.run(&scene);
        let report = run.report();
        assert_eq!(kept_report(&scene, hog.job()), *report);
        let said = reason(report);
        if said.contains("cgroup controller") {
            // An ordinary user without delegation: the limit is refused by name, never dropped.
            assert_eq!((who, run.code), (As::User, Some(4)), "{report:?}");
            assert!(said.starts_with("CapacityError") && report.exit.is_none(), "{report:?}");
        } else {
            assert_eq!(run.code, Some(1), "{report:?}");
            assert!(report.exit.unwrap().out_of_memory, "{report:?}");
            assert!(said.starts_with("AlgorithmError") && said.contains("memory"), "{said}");
        }
        assert_clean(&scene, hog.job(), &Footprint::default());
    }
}
