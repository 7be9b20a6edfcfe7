//! `CreateEndpoint`, `UpdateEndpoint` and `UpdateEndpointWeightsAndCapacities`: how a fleet comes,
//! and what share each variant has.

use super::deployment::check_weights;
use super::parts::{CreateParts, Desired, SharesParts, UpdateParts};
use super::{EndpointRequestError as Error, members, tags};
use crate::request::members::{Members, check};
use belljar_domain::endpoint::Fleet;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// `DeploymentConfig`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rollout {
    /// As it was given.
    given: Option<Value>,
    /// `TerminationWaitInSeconds`.
    termination_wait_seconds: u64,
}

impl Rollout {
    fn of(request: &Value) -> Self {
        let given = request.get("DeploymentConfig").cloned();
        let wait = given.as_ref().and_then(|given| {
            given.pointer("/BlueGreenUpdatePolicy/TerminationWaitInSeconds")?.as_u64()
        });
        Self { given, termination_wait_seconds: wait.unwrap_or(0) }
    }

    /// Has a fleet take over as was asked for.
    pub fn apply(self, fleet: &mut Fleet) {
        fleet.termination_wait_seconds = self.termination_wait_seconds;
        fleet.deployment_config = self.given;
    }
}

/// `CreateEndpoint`.
#[derive(Debug)]
pub struct CreateEndpoint {
    /// `EndpointName`.
    pub name: String,
    /// `EndpointConfigName`.
    pub config: String,
    /// `DeploymentConfig`.
    pub rollout: Rollout,
    /// `Tags`.
    pub tags: BTreeMap<String, String>,
}

/// Checks `CreateEndpoint`.
///
/// # Errors
/// The first thing that is wrong or not served, by name.
pub fn create(request: &Value) -> Result<CreateEndpoint, Error> {
    let parts: CreateParts = checked("CreateEndpoint", members::CREATE, request)?;
    Ok(CreateEndpoint {
        name: parts.endpoint_name,
        config: parts.endpoint_config_name,
        rollout: Rollout::of(request),
        tags: tags(parts.tags)?,
    })
}

/// `UpdateEndpoint`.
#[derive(Debug)]
pub struct UpdateEndpoint {
    /// `EndpointName`.
    pub name: String,
    /// `EndpointConfigName`.
    pub config: String,
    rollout: Rollout,
    retain_rollout: bool,
    retain_counts: bool,
    retain_weights: bool,
}

/// Checks `UpdateEndpoint`.
///
/// # Errors
/// The first thing that is wrong or not served, by name.
pub fn update(request: &Value) -> Result<UpdateEndpoint, Error> {
    let parts: UpdateParts = checked("UpdateEndpoint", members::UPDATE, request)?;
    let excluded = parts.exclude_retained_variant_properties;
    let retain = parts.retain_all_variant_properties;
    if !retain && !excluded.is_empty() {
        return Err(Error::Rule(
            "ExcludeRetainedVariantProperties is for RetainAllVariantProperties.",
        ));
    }
    let rollout = Rollout::of(request);
    if parts.retain_deployment_config && rollout.given.is_some() {
        return Err(Error::Together("DeploymentConfig", "RetainDeploymentConfig"));
    }
    let kept =
        |property: &str| retain && !excluded.iter().any(|e| e.variant_property_type == property);
    Ok(UpdateEndpoint {
        rollout,
        retain_rollout: parts.retain_deployment_config,
        retain_counts: kept("DesiredInstanceCount"),
        retain_weights: kept("DesiredWeight"),
        name: parts.endpoint_name,
        config: parts.endpoint_config_name,
    })
}

impl UpdateEndpoint {
    /// Has the next fleet keep of the current one what was asked for, and take over as was.
    pub fn apply(self, current: &Fleet, next: &mut Fleet) {
        for (name, share) in &mut next.shares {
            let Some(before) = current.shares.get(name) else { continue };
            if self.retain_counts {
                share.count = before.count;
            }
            if self.retain_weights {
                share.weight = before.weight;
            }
        }
        let retained = Rollout {
            given: current.deployment_config.clone(),
            termination_wait_seconds: current.termination_wait_seconds,
        };
        if self.retain_rollout { retained } else { self.rollout }.apply(next);
    }
}

/// `UpdateEndpointWeightsAndCapacities`.
#[derive(Debug)]
pub struct UpdateShares {
    /// `EndpointName`.
    pub name: String,
    desired: Vec<Desired>,
}

/// Checks `UpdateEndpointWeightsAndCapacities`.
///
/// # Errors
/// The first thing that is wrong or not served, by name.
pub fn shares(request: &Value) -> Result<UpdateShares, Error> {
    let operation = "UpdateEndpointWeightsAndCapacities";
    let parts: SharesParts = checked(operation, members::SHARES, request)?;
    let desired = parts.desired_weights_and_capacities;
    for (i, one) in desired.iter().enumerate() {
        if desired.iter().take(i).any(|other| other.variant_name == one.variant_name) {
            let name = one.variant_name.clone();
            return Err(Error::Twice { what: "VariantName", name });
        }
    }
    Ok(UpdateShares { name: parts.endpoint_name, desired })
}

impl UpdateShares {
    /// Changes what share each variant of a fleet has.
    ///
    /// # Errors
    /// If the fleet has no such variant, or could not answer then.
    pub fn apply(self, fleet: &mut Fleet) -> Result<(), Error> {
        for one in self.desired {
            let Some(share) = fleet.shares.get_mut(&one.variant_name) else {
                return Err(Error::NoVariant(one.variant_name));
            };
            // Requests of such an endpoint wait for an instance; others would be lost.
            if one.desired_instance_count == Some(0) && fleet.deployment.asynchronous.is_none() {
                return Err(Error::Rule(
                    "DesiredInstanceCount can be 0 of an asynchronous endpoint only.",
                ));
            }
            share.count = one.desired_instance_count.unwrap_or(share.count);
            share.weight = one.desired_weight.unwrap_or(share.weight);
        }
        check_weights(fleet.shares.values().map(|share| share.weight))
    }
}

fn checked<'a, T: Deserialize<'a>>(
    operation: &'static str,
    members: &Members,
    request: &'a Value,
) -> Result<T, Error> {
    check(members, request).map_err(|n| Error::not_served(operation, n))?;
    Ok(T::deserialize(request)?)
}
