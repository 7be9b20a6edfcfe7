//! Where a service does not do what its model says.

use serde_json::{Value, json};

/// A value of a model that is replaced.
struct Patch {
    service: &'static str,
    /// A JSON pointer.
    at: &'static str,
    /// What the model has there. If that changes, the patch has to be looked at again.
    from: f64,
    to: u64,
}

const PATCHES: [Patch; 1] = [
    // `InvokeEndpoint` and `InvokeEndpointWithResponseStream`: the Developer Guide and the quotas
    // have 25 MB since 2025; the model still has the 6 MB of before.
    Patch {
        service: "sagemaker-runtime",
        at: "/shapes/BodyBlob/max",
        from: 6_291_456.0,
        to: 25 << 20,
    },
];

/// Puts a service's patches on its full model.
pub(super) fn apply(service: &str, full: &mut Value) -> Result<(), String> {
    for patch in PATCHES.iter().filter(|patch| patch.service == service) {
        let at = full.pointer_mut(patch.at).filter(|at| at.as_f64() == Some(patch.from));
        *at.ok_or_else(|| format!("{} is not {} any more", patch.at, patch.from))? =
            json!(patch.to);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_is_of_one_service_and_one_value() {
        let full = |max: u64| json!({ "shapes": { "BodyBlob": { "max": max } } });
        let mut model = full(6_291_456);
        apply("sagemaker", &mut model).unwrap();
        assert_eq!(model, full(6_291_456));
        apply("sagemaker-runtime", &mut model).unwrap();
        assert_eq!(model, full(26_214_400));
        assert!(apply("sagemaker-runtime", &mut model).is_err());
    }
}
