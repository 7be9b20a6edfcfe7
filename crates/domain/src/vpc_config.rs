//! `VpcConfig`: the subnets and security groups in which a job's or an endpoint's instances have
//! their interfaces (Developer Guide, "Give SageMaker access to resources in your Amazon VPC").

use belljar_vpc::Network;
use belljar_vpc::id::{DhcpOptionsId, GroupId, IdError, SubnetId, VpcId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What DHCP options must have for an instance to find its way (the real service's check).
const NEEDED_OPTIONS: [&str; 2] = ["domain-name-servers", "domain-name"];

/// `VpcConfig`, with ids that are ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase", try_from = "Raw")]
pub struct VpcConfig {
    /// 1 to 5, all of one VPC.
    pub security_group_ids: Vec<GroupId>,
    /// 1 to 16; an instance has its interface in one of them.
    pub subnets: Vec<SubnetId>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Raw {
    security_group_ids: Vec<String>,
    subnets: Vec<String>,
}

/// Where in a VPC instances are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct VpcPlacement {
    /// `VpcConfig`.
    pub config: VpcConfig,
    /// `EnableNetworkIsolation`: only what is staged for an instance goes by its interface.
    pub isolated: bool,
}

/// Why a `VpcConfig` cannot be used: EC2's own codes and texts, which the real service passes on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VpcConfigError {
    /// A text that is no subnet's id.
    #[error("InvalidSubnetID.Malformed: {0}")]
    MalformedSubnet(IdError),
    /// A text that is no group's id.
    #[error("InvalidGroupId.Malformed: {0}")]
    MalformedGroup(IdError),
    /// There is no such subnet.
    #[error("InvalidSubnetID.NotFound: The subnet ID '{0}' does not exist")]
    NoSubnet(SubnetId),
    /// There is no such group.
    #[error("InvalidGroup.NotFound: The security group '{0}' does not exist")]
    NoGroup(GroupId),
    /// A group and a subnet of different VPCs.
    #[error("InvalidParameter: Security group {0} and subnet {1} belong to different networks.")]
    OtherNetwork(GroupId, SubnetId),
    /// Subnets of different VPCs.
    #[error("InvalidParameter: Subnets {0} and {1} belong to different networks.")]
    OtherSubnet(SubnetId, SubnetId),
    /// No subnet has room for the instances.
    #[error("InsufficientFreeAddressesInSubnet: none of the subnets {0} has {1} free addresses")]
    NoRoom(String, usize),
    /// The VPC's DHCP options lack one of those that are needed (the real service's words).
    #[error(
        "expected DHCP options to include keys domain-name-servers and domain-name, but missing one or more attributes: {{DhcpOptionsId:{0}}}.Please refer to https://docs.aws.amazon.com/vpc/latest/userguide/DHCPOptionSet.html for more details"
    )]
    Dhcp(DhcpOptionsId),
    /// An endpoint whose subnets are all in one zone (the real service's words).
    #[error(
        "Unable to locate at least 2 availability zone(s) with the requested instance type {0} that overlap with SageMaker subnets."
    )]
    OneZone(String),
}

impl TryFrom<Raw> for VpcConfig {
    type Error = VpcConfigError;
    fn try_from(raw: Raw) -> Result<Self, VpcConfigError> {
        let group = |id: &String| id.parse().map_err(VpcConfigError::MalformedGroup);
        let groups: Result<BTreeSet<GroupId>, _> =
            raw.security_group_ids.iter().map(group).collect();
        let mut subnets: Vec<SubnetId> = Vec::with_capacity(raw.subnets.len());
        for id in &raw.subnets {
            let id = id.parse().map_err(VpcConfigError::MalformedSubnet)?;
            if !subnets.contains(&id) {
                subnets.push(id);
            }
        }
        Ok(Self { security_group_ids: groups?.into_iter().collect(), subnets })
    }
}

impl VpcConfig {
    /// As the API has it.
    ///
    /// # Errors
    /// If an id is none. (That it has the right members, the service model has seen to.)
    pub fn parse(value: &serde_json::Value) -> Result<Self, VpcConfigError> {
        let texts = |member: &str| {
            let list = value[member].as_array().into_iter().flatten();
            list.filter_map(|v| Some(v.as_str()?.to_owned())).collect()
        };
        Raw { security_group_ids: texts("SecurityGroupIds"), subnets: texts("Subnets") }.try_into()
    }

    /// Its VPC, if all of it is there and belongs together.
    ///
    /// # Errors
    /// The first thing that is not, in EC2's words.
    pub fn check<'a>(&self, network: &'a Network) -> Result<&'a VpcId, VpcConfigError> {
        use VpcConfigError::{NoGroup, NoSubnet, OtherNetwork, OtherSubnet};
        let mut of: Option<(&SubnetId, &VpcId)> = None;
        for id in &self.subnets {
            let subnet = network.subnets.get(id).ok_or_else(|| NoSubnet(id.clone()))?;
            match of {
                Some((first, vpc)) if *vpc != subnet.vpc => {
                    return Err(OtherSubnet(first.clone(), id.clone()));
                }
                Some(_) => {}
                None => of = Some((id, &subnet.vpc)),
            }
        }
        for id in &self.security_group_ids {
            let group = network.groups.get(id).ok_or_else(|| NoGroup(id.clone()))?;
            if let Some((first, vpc)) = of
                && *vpc != group.vpc
            {
                return Err(OtherNetwork(id.clone(), first.clone()));
            }
        }
        // The service model asks for one at least.
        let none = || VpcConfigError::NoRoom(String::new(), 1);
        of.map(|(_, vpc)| vpc).ok_or_else(none)
    }

    /// Whether the VPC's DHCP options tell an instance what it needs.
    ///
    /// # Errors
    /// [`VpcConfigError::Dhcp`] if an option is missing.
    pub fn check_dhcp(&self, network: &Network, vpc: &VpcId) -> Result<(), VpcConfigError> {
        let Some(id) = network.vpc(vpc).and_then(|v| v.dhcp_options.as_ref()) else {
            return Ok(());
        };
        let options = network.dhcp_options.get(id);
        let has = |key: &str| options.is_some_and(|o| o.options.contains_key(key));
        if NEEDED_OPTIONS.into_iter().all(has) {
            return Ok(());
        }
        Err(VpcConfigError::Dhcp(id.clone()))
    }

    /// Whether an endpoint can be spread: two zones at least, also for one instance.
    ///
    /// # Errors
    /// [`VpcConfigError::OneZone`].
    pub fn check_zones(
        &self,
        network: &Network,
        instance_type: &str,
    ) -> Result<(), VpcConfigError> {
        let zones: BTreeSet<&str> = self
            .subnets
            .iter()
            .filter_map(|id| Some(network.subnets.get(id)?.zone.as_str()))
            .collect();
        if zones.len() > 1 {
            return Ok(());
        }
        Err(VpcConfigError::OneZone(instance_type.to_owned()))
    }

    /// The subnet of a training job's instances: all in one, so that they are near each other; the
    /// first that has room for all.
    ///
    /// # Errors
    /// [`VpcConfigError::NoRoom`] if none has.
    pub fn together(&self, network: &Network, count: usize) -> Result<&SubnetId, VpcConfigError> {
        let has_room = |id: &&SubnetId| free(network, id) >= count;
        self.subnets.iter().find(has_room).ok_or_else(|| self.no_room(count))
    }

    /// The subnet of an endpoint's further instance, which has `count` interfaces: of those with
    /// room, the one in whose zone `others` has the fewest, the first of several.
    ///
    /// # Errors
    /// [`VpcConfigError::NoRoom`] if none has.
    pub fn apart(
        &self,
        network: &Network,
        others: &[SubnetId],
        count: usize,
    ) -> Result<&SubnetId, VpcConfigError> {
        let zone = |id: &SubnetId| network.subnets.get(id).map(|s| s.zone.clone());
        let taken = |id: &SubnetId| others.iter().filter(|o| zone(o) == zone(id)).count();
        let with_room = self.subnets.iter().filter(|id| free(network, id) >= count);
        with_room.min_by_key(|id| taken(id)).ok_or_else(|| self.no_room(count))
    }

    fn no_room(&self, count: usize) -> VpcConfigError {
        let names: Vec<&str> = self.subnets.iter().map(SubnetId::as_str).collect();
        VpcConfigError::NoRoom(names.join(", "), count)
    }
}

/// `AvailableIpAddressCount` of a subnet: what is neither AWS's nor an interface's.
#[must_use]
pub fn free(network: &Network, subnet: &SubnetId) -> usize {
    let Some(record) = network.subnets.get(subnet) else { return 0 };
    let of_subnet = network.interfaces.values().filter(|i| i.subnet == *subnet);
    let used: usize = of_subnet.map(|i| i.addresses.len()).sum();
    record.capacity().saturating_sub(used)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn network() -> Network {
        let acl = |vpc: &str, subnets: serde_json::Value| {
            json!({"vpc": vpc, "isDefault": true, "ingress": {}, "egress": {},
                   "associations": subnets})
        };
        let table =
            |vpc: &str| json!({"vpc": vpc, "main": "rtbassoc-1", "associations": {}, "routes": []});
        let vpc = |block: &str, options: Option<&str>| {
            json!({"cidrs": [{"association": "vpc-cidr-assoc-1", "block": block}],
                   "dnsSupport": true, "dnsHostnames": true, "dhcpOptions": options,
                   "isDefault": false})
        };
        let subnet = |vpc: &str, zone: &str, block: &str| {
            json!({"vpc": vpc, "zone": zone, "block": block, "mapPublicIp": false,
                   "assignV6": false, "defaultForZone": false})
        };
        let group = |vpc: &str| json!({"vpc": vpc, "name": "g", "description": "g", "rules": {}});
        let description = json!({
            "vpcs": {"vpc-1": vpc("10.0.0.0/16", Some("dopt-1")), "vpc-2": vpc("10.1.0.0/16", None)},
            "subnets": {"subnet-1": subnet("vpc-1", "a", "10.0.0.0/28"),
                        "subnet-2": subnet("vpc-1", "b", "10.0.1.0/24"),
                        "subnet-3": subnet("vpc-1", "b", "10.0.2.0/24"),
                        "subnet-9": subnet("vpc-2", "a", "10.1.0.0/24")},
            "acls": {"acl-1": acl("vpc-1", json!({"subnet-1": "aclassoc-1", "subnet-2": "aclassoc-2",
                                                   "subnet-3": "aclassoc-3"})),
                     "acl-2": acl("vpc-2", json!({"subnet-9": "aclassoc-9"}))},
            "routeTables": {"rtb-1": table("vpc-1"), "rtb-2": table("vpc-2")},
            "groups": {"sg-1": group("vpc-1"), "sg-9": group("vpc-2")},
            "dhcpOptions": {"dopt-1": {"options": {"domain-name": ["x"]}}},
        });
        Network::new(serde_json::from_value(description).unwrap()).unwrap()
    }

    fn config(subnets: &[&str], groups: &[&str]) -> VpcConfig {
        serde_json::from_value(json!({"Subnets": subnets, "SecurityGroupIds": groups})).unwrap()
    }

    #[test]
    fn all_of_one_vpc() {
        let network = network();
        let said = |c: VpcConfig| c.check(&network).map_err(|e| e.to_string());
        assert_eq!(said(config(&["subnet-1", "subnet-2"], &["sg-1"])).unwrap().as_str(), "vpc-1");
        for (subnets, groups, code) in [
            (&["subnet-7"][..], "sg-1", "InvalidSubnetID.NotFound: The subnet ID 'subnet-7' does"),
            (&["subnet-1"][..], "sg-7", "InvalidGroup.NotFound: The security group 'sg-7' does"),
            (&["subnet-1"][..], "sg-9", "InvalidParameter: Security group sg-9 and subnet"),
            (&["subnet-1", "subnet-9"][..], "sg-1", "InvalidParameter: Subnets subnet-1 and"),
        ] {
            let text = said(config(subnets, &[groups])).unwrap_err();
            assert!(text.starts_with(code), "{text}");
        }
        for (subnet, group, code) in
            [("x", "sg-1", "InvalidSubnetID.Malformed: "), ("subnet-1", "x", "InvalidGroupId.Malf")]
        {
            let bad = json!({"Subnets": [subnet], "SecurityGroupIds": [group]});
            let text = VpcConfig::parse(&bad).unwrap_err().to_string();
            assert!(text.starts_with(code), "{text}");
        }
    }

    #[test]
    fn dhcp_options_must_say_both() {
        let network = network();
        let of = |c: VpcConfig| {
            let vpc = c.check(&network).unwrap();
            c.check_dhcp(&network, vpc).map_err(|e| e.to_string())
        };
        let text = of(config(&["subnet-1"], &["sg-1"])).unwrap_err();
        assert!(text.contains("{DhcpOptionsId:dopt-1}.Please"), "{text}");
        of(config(&["subnet-9"], &["sg-9"])).unwrap();
    }

    #[test]
    fn jobs_together_and_endpoints_apart() {
        let network = network();
        let three = config(&["subnet-1", "subnet-2", "subnet-3"], &["sg-1"]);
        let together = |n: usize| three.together(&network, n).map(SubnetId::to_string);
        assert_eq!(together(11).unwrap(), "subnet-1");
        assert_eq!(together(12).unwrap(), "subnet-2");
        assert!(together(500).unwrap_err().to_string().starts_with("InsufficientFree"));
        let mut placed: Vec<SubnetId> = Vec::new();
        for expected in ["subnet-1", "subnet-2", "subnet-1", "subnet-2"] {
            let next = three.apart(&network, &placed, 1).unwrap().clone();
            assert_eq!(next.as_str(), expected);
            placed.push(next);
        }
        assert_eq!(three.apart(&network, &[], 12).unwrap().as_str(), "subnet-2");
        assert!(three.apart(&network, &[], 500).is_err());
        assert!(three.check_zones(&network, "ml.m5.large").is_ok());
        let one = config(&["subnet-2", "subnet-3"], &["sg-1"]);
        assert!(one.check_zones(&network, "ml.m5.large").is_err());
    }
}
