//! Private DNS: which names of a VPC lead to which endpoint.

use super::wrong;
use crate::network::error;
use belljar_aws::AwsError;
use belljar_vpc::Description;
use belljar_vpc::id::{EndpointId, VpcId};
use belljar_vpc::network::EndpointKind;

/// Whether an endpoint may have private DNS: the VPC has both attributes, and no other endpoint of
/// the service has it there.
pub(super) fn check(
    d: &Description,
    vpc: &VpcId,
    (service, name): (&str, &str),
    own: Option<&EndpointId>,
) -> Result<(), AwsError> {
    let attributes = error::get(&d.vpcs, vpc)?;
    if !(attributes.dns_support && attributes.dns_hostnames) {
        return Err(wrong(format!(
            "Enabling private DNS requires both enableDnsSupport and enableDnsHostnames VPC \
             attributes set to true for {vpc}"
        )));
    }
    let has =
        |kind: &EndpointKind| matches!(kind, EndpointKind::Interface { private_dns: true, .. });
    let taken = d
        .endpoints
        .iter()
        .any(|(id, e)| Some(id) != own && e.vpc == *vpc && e.service == service && has(&e.kind));
    if taken {
        return Err(wrong(format!(
            "private-dns-enabled cannot be set because there is already a conflicting DNS domain \
             for {name} in the VPC {vpc}"
        )));
    }
    Ok(())
}
