//! Codes of explanations, by AWS's own names (VPC Reachability Analyzer, "Explanation codes" and
//! "Additional detail codes"), and Belljar's, which begin with `BELLJAR_`.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! codes {
    ($(#[$doc:meta])* $type:ident { $($(#[$variant_doc:meta])* $variant:ident = $name:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $type {
            $($(#[$variant_doc])* #[serde(rename = $name)] $variant,)*
        }

        impl $type {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

codes! {
    /// Why a flow does not pass. Those of AWS that Belljar's network can meet.
    Code {
        /// The route leads to what is gone: a blackhole.
        BadStateRoute = "BAD_STATE_ROUTE",
        /// Packets go round in a circle, or a gateway gets what is not for it.
        CannotRoute = "CANNOT_ROUTE",
        /// The interface has no such address.
        EniAddressRestriction = "ENI_ADDRESS_RESTRICTION",
        /// No rule of the interface's groups applies.
        EniSgRulesMismatch = "ENI_SG_RULES_MISMATCH",
        /// The source/destination check dropped what is not from or to the interface.
        EniSourceDestCheckRestriction = "ENI_SOURCE_DEST_CHECK_RESTRICTION",
        /// An internet or NAT gateway dropped a forged source.
        GatewayRejectsSpoofedTraffic = "GATEWAY_REJECTS_SPOOFED_TRAFFIC",
        /// A private destination was sent to an internet gateway (RFC 1918).
        IgwDestinationNotInRfc1918Egress = "IGW_DESTINATION_ADDRESS_NOT_IN_RFC1918_EGRESS",
        /// A shared destination was sent to an internet gateway (RFC 6598).
        IgwDestinationNotInRfc6598Egress = "IGW_DESTINATION_ADDRESS_NOT_IN_RFC6598_EGRESS",
        /// Nobody has the public address that a packet from the internet is for.
        IgwPrivateIpAssociationForIngress = "IGW_PRIVATE_IP_ASSOCIATION_FOR_INGRESS",
        /// The sender has no public address.
        IgwPublicIpAssociationForEgress = "IGW_PUBLIC_IP_ASSOCIATION_FOR_EGRESS",
        /// A packet from the internet has a private source (RFC 1918).
        IgwSourceNotInRfc1918Ingress = "IGW_SOURCE_ADDRESS_NOT_IN_RFC1918_INGRESS",
        /// A packet from the internet has a shared source (RFC 6598).
        IgwSourceNotInRfc6598Ingress = "IGW_SOURCE_ADDRESS_NOT_IN_RFC6598_INGRESS",
        /// A more specific route takes the packet another way than the one that it needs.
        MoreSpecificRoute = "MORE_SPECIFIC_ROUTE",
        /// A NAT gateway got a packet that none of its own connections is about.
        NgwDestAddressPreservation = "NGW_DEST_ADDRESS_PRESERVATION",
        /// A NAT gateway got a packet from outside of its VPC.
        NgwRequiresSourceInVpc = "NGW_REQUIRES_SOURCE_IN_VPC",
        /// Nobody has the destination's address.
        NoPossibleDestination = "NO_POSSIBLE_DESTINATION",
        /// No route leads there.
        NoRouteToDestination = "NO_ROUTE_TO_DESTINATION",
        /// A peering connection got a packet that is not for the other VPC.
        PcxRequiresAddressInVpcCidr = "PCX_REQUIRES_ADDRESS_IN_VPC_CIDR",
        /// The component takes certain protocols only.
        ProtocolRestriction = "PROTOCOL_RESTRICTION",
        /// None of the interface's groups has a rule in this direction.
        SgHasNoRules = "SG_HAS_NO_RULES",
        /// A rule that names a group would allow it, but the packet was forwarded on its way.
        SgReferencesNotPreserved = "SG_REFERENCES_NOT_PRESERVED",
        /// The subnet's network ACL denies it.
        SubnetAclRestriction = "SUBNET_ACL_RESTRICTION",
        /// Not an address that is routed.
        UnknownDestination = "UNKNOWN_DESTINATION",
        /// A gateway endpoint takes only TCP and ICMP echo.
        VpceGatewayProtocolRestriction = "VPCE_GATEWAY_PROTOCOL_RESTRICTION",
        /// Both ends are in VPCs that nothing joins.
        DisconnectedVpcs = "DISCONNECTED_VPCS",
        /// The answer does not come back to who asked.
        NoPath = "NO_PATH",
        /// The source does not exist, or has no address of the destination's family.
        NoSourceOrDestination = "NO_SOURCE_OR_DESTINATION",
        /// The container is sealed (`EnableNetworkIsolation`).
        NetworkIsolation = "BELLJAR_NETWORK_ISOLATION",
        /// In a sealed container only the peers of its job are reachable.
        NotAPeer = "BELLJAR_NOT_A_PEER",
        /// The resolver knows no address for the name.
        DnsNameUnresolved = "BELLJAR_DNS_NAME_UNRESOLVED",
        /// There is an endpoint for the service, but its own name does not lead to it.
        PrivateDnsDisabled = "BELLJAR_PRIVATE_DNS_DISABLED",
        /// The endpoint's policy does not allow the request.
        EndpointPolicyDeny = "BELLJAR_ENDPOINT_POLICY_DENY",
    }
}

codes! {
    /// What is worth knowing of a path besides.
    DetailCode {
        /// Its ends are in two Availability Zones, which AWS charges for.
        AvailabilityZoneCrossed = "AVAILABILITY_ZONE_CROSSED",
        /// Nothing answers such a packet, so the way back was not looked at.
        UnidirectionalPathAnalysisOnly = "UNIDIRECTIONAL_PATH_ANALYSIS_ONLY",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_aws_or_begin_with_belljar() {
        let own = Code::ALL.iter().filter(|c| c.as_str().starts_with("BELLJAR_"));
        assert_eq!(own.count(), 5);
        for code in Code::ALL {
            let json = serde_json::to_string(code).unwrap();
            assert_eq!(json, format!("\"{code}\""));
        }
    }
}
