//! Which variant and which instance a request goes to. Sources: `ProductionVariant`
//! (`InitialVariantWeight`: the share is the weight by the sum of all), `InvokeEndpoint`
//! (`TargetVariant` goes before weights), `RoutingConfig`.

use super::table::{Instance, Routes, VariantRoutes};
use belljar_domain::endpoint::Routing;
use std::sync::Arc;

/// The variant for a draw between 0 and 1. `None` if there is none.
pub(super) fn variant(routes: &Routes, draw: f64) -> Option<&VariantRoutes> {
    let weight = |v: &VariantRoutes| if v.weight.is_finite() { v.weight.max(0.0) } else { 0.0 };
    let sum: f64 = routes.variants.iter().map(weight).sum();
    let mut left = draw * sum;
    for variant in &routes.variants {
        left -= weight(variant);
        if left < 0.0 {
            return Some(variant);
        }
    }
    // All weights are 0, or the draw was lost in rounding.
    routes.variants.iter().rev().find(|v| weight(v) > 0.0).or_else(|| routes.variants.first())
}

/// The instance for a request: one that is healthy, rather one that is not suspect, rather one that
/// has the model; never one of `tried`.
pub(super) fn instance(
    variant: &VariantRoutes,
    model: Option<&str>,
    tried: &[String],
) -> Option<Arc<Instance>> {
    let usable = |i: &&Arc<Instance>| i.is_healthy() && !tried.contains(&i.id);
    let clear = |i: &&Arc<Instance>| usable(i) && !i.is_suspect();
    let has = |i: &Arc<Instance>, model: &str| i.containers.iter().any(|c| c.loaded.has(model));
    let with_model = model.and_then(|model| {
        pick(variant.routing, variant.instances.iter().filter(|i| clear(i) && has(i, model)))
    });
    with_model
        .or_else(|| pick(variant.routing, variant.instances.iter().filter(clear)))
        .or_else(|| pick(variant.routing, variant.instances.iter().filter(usable)))
        .cloned()
}

/// One of the best, each as likely as the others.
fn pick<'a>(
    routing: Routing,
    instances: impl Iterator<Item = &'a Arc<Instance>>,
) -> Option<&'a Arc<Instance>> {
    let (mut best, mut fewest, mut ties) = (None, usize::MAX, 0);
    for instance in instances {
        let count = match routing {
            Routing::LeastOutstanding => instance.outstanding(),
            Routing::Random => 0,
        };
        if best.is_none() || count < fewest {
            (best, fewest, ties) = (Some(instance), count, 1);
        } else if count == fewest {
            ties += 1;
            if fastrand::usize(..ties) == 0 {
                best = Some(instance);
            }
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serving::testing::{instance as healthy, routes, variant as of};
    use proptest::prelude::*;
    use std::collections::HashMap;
    use std::time::Duration;

    proptest! {
        /// Draws that are spread evenly meet each variant as often as its weight says.
        #[test]
        fn shares_are_the_weights(weights in prop::collection::vec(0u32..50, 1..6)) {
            let named = weights.iter().enumerate();
            let variants = named.map(|(n, w)| of(&n.to_string(), f64::from(*w), Vec::new()));
            let routes = routes(variants.collect());
            let (sum, draws) = (weights.iter().sum::<u32>(), 5000u32);
            let mut met: HashMap<String, u32> = HashMap::new();
            for n in 0..draws {
                let draw = (f64::from(n) + 0.5) / f64::from(draws);
                *met.entry(variant(&routes, draw).unwrap().name.clone()).or_default() += 1;
            }
            if sum == 0 {
                prop_assert_eq!(met.get("0"), Some(&draws));
            } else {
                for (n, weight) in weights.iter().enumerate() {
                    let share = f64::from(*weight) / f64::from(sum);
                    let got = f64::from(met.get(&n.to_string()).copied().unwrap_or_default());
                    prop_assert!((got / f64::from(draws) - share).abs() < 0.001, "{weights:?} {met:?}");
                    prop_assert!(*weight > 0 || got == 0.0);
                }
            }
        }

        #[test]
        fn the_instance_with_the_fewest_requests_is_picked(counts in prop::collection::vec(0usize..4, 1..8)) {
            let all: Vec<_> = (0..counts.len()).map(|n| healthy(&n.to_string(), Vec::new())).collect();
            let _held: Vec<_> =
                all.iter().zip(&counts).flat_map(|(i, n)| (0..*n).map(|_| i.begin().unwrap())).collect();
            let picked = instance(&of("v", 1.0, all), None, &[]).unwrap();
            prop_assert_eq!(Some(&picked.outstanding()), counts.iter().min());
        }

        #[test]
        fn the_ends_of_a_draw_meet_a_variant_that_has_a_share(draw in prop_oneof![Just(0.0), Just(1.0), 0.0..1.0]) {
            let strange = [0.0, -1.0, f64::NAN, 1e-300, 0.0];
            let variants = strange.iter().map(|w| of(&w.to_string(), *w, Vec::new())).collect();
            prop_assert_eq!(variant(&routes(variants), draw).unwrap().weight, 1e-300);
        }
    }

    #[test]
    fn ties_and_random_picks_are_fair() {
        for routing in [Routing::LeastOutstanding, Routing::Random] {
            let all: Vec<_> = (0..4).map(|n| healthy(&n.to_string(), Vec::new())).collect();
            let _held = (routing == Routing::Random).then(|| all[0].begin());
            let variant = VariantRoutes { routing, ..of("v", 1.0, all) };
            let mut met: HashMap<String, u32> = HashMap::new();
            for _ in 0..4000 {
                *met.entry(instance(&variant, None, &[]).unwrap().id.clone()).or_default() += 1;
            }
            assert!(met.len() == 4 && met.values().all(|n| (800..1200).contains(n)), "{met:?}");
        }
    }

    #[test]
    fn who_is_not_well_is_left_alone() {
        let all: Vec<_> = (0..3).map(|n| healthy(&n.to_string(), Vec::new())).collect();
        let variant = of("v", 1.0, all.clone());
        let pick = |tried: &[String]| instance(&variant, None, tried).map(|i| i.id.clone());
        all[0].set_healthy(false);
        all[1].suspect(Duration::from_secs(60));
        for _ in 0..20 {
            assert_eq!(pick(&[]).as_deref(), Some("2"));
        }
        // A suspect is better than nobody; who was tried or does not answer pings is not.
        assert_eq!(pick(&["2".into()]).as_deref(), Some("1"));
        assert_eq!(pick(&["1".into(), "2".into()]), None);
    }
}
