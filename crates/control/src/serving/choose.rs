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
