//! Where a service does not do what its model says.

use serde_json::Value;

/// A value of a model that is replaced.
struct Patch {
    service: &'static str,
    /// A JSON pointer.
    at: &'static str,
    /// What the model has there, as JSON. If that changes, the patch has to be looked at again.
    from: &'static str,
    to: &'static str,
}

const PATCHES: [Patch; 4] = [
    // Of an internet gateway that is attached, EC2 says `available` (its API reference,
    // `InternetGatewayAttachment`), and clients wait for that.
    Patch {
        service: "ec2",
        at: "/shapes/AttachmentStatus/enum",
        from: r#"["attaching", "attached", "detaching", "detached"]"#,
        to: r#"["attaching", "attached", "available", "detaching", "detached"]"#,
    },
    // States of VPC endpoints: EC2 answers them in lower case (its API reference, the examples of
    // `CreateVpcEndpoint`), and clients look for `available`.
    Patch {
        service: "ec2",
        at: "/shapes/State/enum",
        from: r#"["PendingAcceptance", "Pending", "Available", "Deleting", "Deleted", "Rejected",
                  "Failed", "Expired", "Partial"]"#,
        to: r#"["pendingAcceptance", "pending", "available", "deleting", "deleted", "rejected",
                "failed", "expired", "partial"]"#,
    },
    // A zone without tags has an empty list of them, as every zone has at its start; the model
    // means what `ChangeTagsForResource` adds.
    Patch { service: "route53", at: "/shapes/TagList/min", from: "1", to: "0" },
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
    for patch in PATCHES.iter().filter(|patch| patch.service == service) {
        let at = full.pointer_mut(patch.at).filter(|at| **at == json(patch.from));
        *at.ok_or_else(|| format!("{} is not {} any more", patch.at, patch.from))? = json(patch.to);
    }
    Ok(())
}

/// A patch's text; of one that is no JSON, nothing, which no model has.
fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
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
