//! Every way out, against the table.

use crate::inside::{self, Lines};
use crate::{table, world};
use belljar_domain::Stream;
use belljar_testkit::As;
use std::collections::BTreeSet;

/// Every line that differs from the table, in words.
pub(crate) fn differences(
    lines: &Lines,
    accepted: impl Fn(&table::Way) -> &[&'static str],
) -> Vec<String> {
    let ways = table::ways();
    let known: BTreeSet<&str> = ways.iter().map(|w| w.name).collect();
    let mut found: Vec<String> = lines
        .keys()
        .filter(|n| !known.contains(n.as_str()))
        .map(|n| format!("{n}: unknown"))
        .collect();
    for way in &ways {
        let accepted = accepted(way);
        match lines.get(way.name) {
            None => found.push(format!("{}: not tried", way.name)),
            Some(seen) if accepted.contains(&seen.result.as_str()) => {}
            Some(seen) => found.push(format!("{}: {} and not {accepted:?}", way.name, seen.result)),
        }
    }
    found
}

#[test]
fn every_way_out_is_closed_inside() {
    for who in As::all() {
        // Not as process 1, which cannot be asked to trace itself.
        let run = inside::probe(&inside::scene(who), "ways", &["nested", "attempts"]);
        let lines = inside::read(run.lines(Stream::Stdout));
        let found = differences(&lines, |way| &way.inside);
        assert!(found.is_empty(), "{who:?}: {found:#?}");
    }
}

#[test]
fn the_same_ways_are_open_outside() {
    for who in As::all() {
        let lines = world::attempts(&inside::scene(who));
        let found = differences(&lines, |way| match who {
            As::Root => &way.root,
            As::User => &way.user,
        });
        assert!(found.is_empty(), "{who:?}: {found:#?}");
    }
}

/// A refusal proves nothing if the control may be refused in the same words: then the table must
/// say why.
#[test]
fn the_table_tells_inside_from_outside() {
    for way in table::ways() {
        for control in [&way.root, &way.user] {
            let same = way.inside.iter().any(|word| control.contains(word));
            assert!(!same || !way.why.is_empty(), "{}", way.name);
        }
    }
}
