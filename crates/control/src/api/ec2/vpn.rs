//! Virtual private gateways: there are none. Tools that look a VPC up ask for its own.

use super::listing::{Filters, Listing};
use crate::network::error::refused;
use crate::service::{Caller, Service};
use belljar_aws::AwsError;
use serde_json::Value;

const FILTERS: Filters = &[
    ("amazon-side-asn", "AmazonSideAsn"),
    ("attachment.state", "VpcAttachments.State"),
    ("attachment.vpc-id", "VpcAttachments.VpcId"),
    ("availability-zone", "AvailabilityZone"),
    ("state", "State"),
    ("type", "Type"),
    ("vpn-gateway-id", "VpnGatewayId"),
];

pub(super) async fn describe(
    _: &Service,
    _: &Caller,
    mut listing: Listing,
) -> Result<Value, AwsError> {
    let ids: Vec<String> = listing.take("VpnGatewayIds")?;
    if let Some(id) = ids.first() {
        let shown: String = id.chars().take(64).collect();
        let text = format!("The vpnGateway ID '{shown}' does not exist");
        return Err(refused("InvalidVpnGatewayID.NotFound", text));
    }
    listing.answer("VpnGateways", std::iter::empty(), FILTERS)
}
