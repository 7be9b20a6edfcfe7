//! Rules that are broken on purpose: each must be caught, or the agreement proves nothing.

use crate::agree::{Run, runtime};
use crate::random::network;
use crate::scene::{Mutation, Scene};
use belljar_vpc::compile::{Action, Hop, Match, Router, Rule, State};

/// Networks that are tried until one shows that a rule is broken.
const NETWORKS: u64 = 12;

fn pass_all(router: &mut Router, chain: &str) {
    if let Some(chain) = router.chains.get_mut(chain) {
        chain.rules = vec![Rule { matches: vec![], action: Action::Accept }];
    }
}

fn empty(router: &mut Router, is: impl Fn(&str) -> bool) {
    for (_, set) in router.sets.iter_mut().filter(|(name, _)| is(name)) {
        set.elements.clear();
    }
}

fn lose_last(router: &mut Router, is: impl Fn(&str) -> bool) {
    for (_, set) in router.sets.iter_mut().filter(|(name, _)| is(name)) {
        set.elements.pop_last();
    }
}

fn without(router: &mut Router, what: impl Fn(&Rule) -> bool) {
    for chain in router.chains.values_mut() {
        chain.rules.retain(|r| !what(r));
    }
}

fn is_state(rule: &Rule, state: State) -> bool {
    rule.matches == [Match::State(state)]
}

fn is_block(rule: &Rule, net: &str) -> bool {
    matches!(&rule.matches[..], [Match::Block { source: false, block }] if block.to_string() == net)
}

/// What is broken, and how.
fn all() -> Vec<(&'static str, Mutation<'static>)> {
    vec![
        ("network ACLs out", &|r| pass_all(r, "acl-out")),
        ("network ACLs in", &|r| pass_all(r, "acl-in")),
        ("egress of groups", &|r| pass_all(r, "egress")),
        ("ingress of groups", &|r| pass_all(r, "ingress")),
        ("the source check", &|r| pass_all(r, "source")),
        ("the destination check", &|r| pass_all(r, "destination")),
        ("the demand for a public address", &|r| pass_all(r, "public")),
        ("established connections", &|r| without(r, |r| is_state(r, State::Established))),
        ("what belongs to no connection", &|r| without(r, |r| is_state(r, State::Invalid))),
        ("members of groups", &|r| empty(r, |n| n.contains("-members-"))),
        ("one member of a group", &|r| lose_last(r, |n| n.contains("-members-"))),
        ("prefix lists", &|r| empty(r, |n| n.starts_with("pl-"))),
        ("one port range of a group", &|r| lose_last(r, |n| n.ends_with("-ports"))),
        ("protocols of groups", &|r| empty(r, |n| n.ends_with("-protocols"))),
        ("types of ICMP", &|r| empty(r, |n| n.ends_with("-types"))),
        ("links within a subnet", &|r| empty(r, |n| n.ends_with("-links"))),
        ("translation to public addresses", &|r| empty(r, |n| n == "to-public")),
        ("translation to private addresses", &|r| empty(r, |n| n == "to-private")),
        ("what has a link-local destination", &|r| without(r, |r| is_block(r, "fe80::/10"))),
        ("which table a link goes by", &|r| empty(r, |n| n == "tables")),
        ("routes", &|r| {
            let hops = r.tables.values_mut().flat_map(|t| t.values_mut());
            hops.filter(|h| matches!(h, Hop::Via(_))).for_each(|h| *h = Hop::Blackhole);
        }),
        ("the order of an ACL", &|r| {
            let is_acl = |n: &str| n.starts_with("acl-") && n.ends_with("-in") && n != "acl-in";
            for (_, chain) in r.chains.iter_mut().filter(|(n, _)| is_acl(n)) {
                let end = chain.rules.len().saturating_sub(1);
                chain.rules[..end].reverse();
            }
        }),
    ]
}

pub(crate) fn caught() -> crate::Outcome {
    runtime().block_on(async {
        let mut scene = Scene::new(network(0, 0)).await;
        // The unbroken rules are the control; after each change they are what they are to be.
        scene.verify = true;
        for seed in 0..6 {
            Run { seed, mutation: &|_| {} }.go(&mut scene).await?;
        }
        scene.verify = false;
        for (what, mutation) in all() {
            let mut caught = false;
            for seed in 0..NETWORKS {
                let run = Run { seed, mutation };
                if run.go(&mut scene).await.is_err() {
                    caught = true;
                    break;
                }
            }
            if !caught {
                return Err(format!("nobody noticed that this was broken: {what}").into());
            }
        }
        Ok(())
    })
}
