//! Where a service does not do what its model says.

use serde_json::Value;

/// A value of a model that is replaced.
struct Patch {
    service: &'static str,
    /// A JSON pointer.
    at: &'static str,
    /// What the model has there. If that changes, the patch has to be looked at again.
    /// As JSON.
    from: &'static str,
    to: &'static str,
}

const PATCHES: [Patch; 2] = [
    // States of VPC endpoints: the API answers them in lower case (`CreateVpcEndpoint` in the EC2
    // API Reference, "Examples"), and clients look for `available`.
    Patch {
        service: "ec2",
        at: "/shapes/State/enum",
        from: r#"["PendingAcceptance","Pending","Available","Deleting","Deleted","Rejected","Failed","Expired","Partial"]"#,
        to: r#"["pendingAcceptance","pending","available","deleting","deleted","rejected","failed","expired","partial"]"#,
    },
    // `InvokeEndpoint` and `InvokeEndpointWithResponseStream`: the Developer Guide and the quotas
    // have 25 MB since 2025; the model still has the 6 MB of before.
    Patch {
        service: "sagemaker-runtime",
        at: "/shapes/BodyBlob/max",
        from: "6291456",
        to: "26214400",
    },
];

/// Puts a service's patches on its full model.
pub(super) fn apply(service: &str, full: &mut Value) -> Result<(), String> {
    let value = |json: &str| serde_json::from_str::<Value>(json).map_err(|e| e.to_string());
    for patch in PATCHES.iter().filter(|patch| patch.service == service) {
        let from = value(patch.from)?;
        let at = full.pointer_mut(patch.at).filter(|at| **at == from);
        *at.ok_or_else(|| format!("{} is not {} any more", patch.at, patch.from))? =
            value(patch.to)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

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
