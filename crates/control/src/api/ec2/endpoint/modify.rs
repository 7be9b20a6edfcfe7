//! `ModifyVpcEndpoint`: all of it, or nothing.

use super::create::{DnsOptions, SubnetConfiguration, check_dns_options, not_served, subnets};
use super::{edit, policy, wrong, zones};
use crate::network::error;
use crate::network::{Draft, interfaces};
use crate::service::{Caller, Service};
use belljar_aws::AwsError;
use belljar_vpc::id::{EndpointId, GroupId, InterfaceId, RouteTableId, SubnetId, VpcId};
use belljar_vpc::network::{Endpoint, EndpointKind};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(in crate::api::ec2) struct Modify {
    vpc_endpoint_id: String,
    #[serde(default)]
    reset_policy: bool,
    policy_document: Option<String>,
    #[serde(default)]
    add_route_table_ids: Vec<String>,
    #[serde(default)]
    remove_route_table_ids: Vec<String>,
    #[serde(default)]
    add_subnet_ids: Vec<String>,
    #[serde(default)]
    remove_subnet_ids: Vec<String>,
    #[serde(default)]
    add_security_group_ids: Vec<String>,
    #[serde(default)]
    remove_security_group_ids: Vec<String>,
    ip_address_type: Option<String>,
    dns_options: Option<DnsOptions>,
    private_dns_enabled: Option<bool>,
    #[serde(default)]
    subnet_configurations: Vec<SubnetConfiguration>,
}

pub(in crate::api::ec2) async fn modify(
    service: &Service,
    _: &Caller,
    input: Modify,
) -> Result<Value, AwsError> {
    if let Some(other) = input.ip_address_type.as_ref().filter(|kind| *kind != "ipv4") {
        return Err(not_served(format!("IpAddressType {other}")));
    }
    check_dns_options(input.dns_options.as_ref())?;
    let edit = service.network.edit(|draft| {
        let (id, endpoint) = error::named(&draft.endpoints, &input.vpc_endpoint_id)?;
        let mut endpoint = endpoint.clone();
        if input.reset_policy && input.policy_document.is_some() {
            return Err(wrong("ResetPolicy and PolicyDocument exclude each other."));
        }
        if input.reset_policy {
            endpoint.policy = None;
        }
        if let Some(text) = &input.policy_document {
            endpoint.policy = Some(policy::checked(text.clone())?);
        }
        input.change_kind(draft, &id, &mut endpoint, &service.config.region)?;
        draft.endpoints.insert(id, Arc::new(endpoint));
        Ok(())
    });
    edit.await?;
    Ok(json!({"Return": true}))
}

/// The parts of an interface endpoint.
struct Parts<'a> {
    interfaces: &'a mut BTreeMap<SubnetId, InterfaceId>,
    groups: &'a mut Vec<GroupId>,
    private_dns: &'a mut bool,
}

impl Modify {
    fn change_kind(
        &self,
        draft: &mut Draft,
        id: &EndpointId,
        endpoint: &mut Endpoint,
        region: &str,
    ) -> Result<(), AwsError> {
        let Endpoint { vpc, service, kind, .. } = endpoint;
        match kind {
            EndpointKind::Gateway { route_tables } => {
                self.only_of("Gateway", &self.of_interfaces())?;
                self.change_tables(draft, (id, service), vpc, route_tables)
            }
            EndpointKind::Interface { interfaces, groups, private_dns } => {
                self.only_of("Interface", &self.of_gateways())?;
                let parts = Parts { interfaces, groups, private_dns };
                self.change_interfaces(draft, (id, vpc), (service, region), parts)
            }
        }
    }

    fn of_gateways(&self) -> Vec<(&'static str, bool)> {
        vec![
            ("AddRouteTableIds", !self.add_route_table_ids.is_empty()),
            ("RemoveRouteTableIds", !self.remove_route_table_ids.is_empty()),
        ]
    }

    fn of_interfaces(&self) -> Vec<(&'static str, bool)> {
        vec![
            ("AddSubnetIds", !self.add_subnet_ids.is_empty()),
            ("RemoveSubnetIds", !self.remove_subnet_ids.is_empty()),
            ("AddSecurityGroupIds", !self.add_security_group_ids.is_empty()),
            ("RemoveSecurityGroupIds", !self.remove_security_group_ids.is_empty()),
            ("SubnetConfigurations", !self.subnet_configurations.is_empty()),
            ("PrivateDnsEnabled", self.private_dns_enabled == Some(true)),
        ]
    }

    fn only_of(&self, kind: &str, others: &[(&str, bool)]) -> Result<(), AwsError> {
        match others.iter().find(|(_, given)| *given) {
            Some((member, _)) => {
                Err(wrong(format!("{member} is not supported for endpoints of the type {kind}.")))
            }
            None => Ok(()),
        }
    }

    fn change_tables(
        &self,
        draft: &mut Draft,
        (id, service): (&EndpointId, &str),
        vpc: &VpcId,
        tables: &mut BTreeSet<RouteTableId>,
    ) -> Result<(), AwsError> {
        for text in &self.remove_route_table_ids {
            let (table, _) = error::named(&draft.route_tables, text)?;
            if !tables.remove(&table) {
                return Err(wrong(format!("{table} is not associated with {id}.")));
            }
            edit::leave(draft, id, &table);
        }
        for text in &self.add_route_table_ids {
            let (table, _) = error::named(&draft.route_tables, text)?;
            if tables.insert(table.clone()) {
                edit::join(draft, (id, service), vpc, &table)?;
            }
        }
        Ok(())
    }

    fn change_interfaces(
        &self,
        draft: &mut Draft,
        (id, vpc): (&EndpointId, &VpcId),
        (service, region): (&str, &str),
        parts: Parts<'_>,
    ) -> Result<(), AwsError> {
        self.change_groups(draft, (id, vpc), &parts.interfaces.clone(), parts.groups)?;
        for text in &self.remove_subnet_ids {
            let (subnet, _) = error::named(&draft.subnets, text)?;
            let interface = parts.interfaces.remove(&subnet);
            let missing = || wrong(format!("{subnet} is not associated with {id}."));
            interfaces::delete(draft, &interface.ok_or_else(missing)?)?;
        }
        let added = subnets(draft, &self.add_subnet_ids, &self.subnet_configurations)?;
        let has = |subnet: &SubnetId| parts.interfaces.contains_key(subnet);
        let added: Vec<_> = added.into_iter().filter(|(subnet, _)| !has(subnet)).collect();
        edit::add_interfaces(draft, (id, vpc), &added, parts.groups, parts.interfaces)?;
        match self.private_dns_enabled {
            Some(true) => {
                let offered = belljar_vpc::services::find(service, region);
                let names = offered.map(|o| o.private_names(region)).unwrap_or_default();
                let name = names.first().map_or("", String::as_str);
                zones::check(draft, vpc, (service, name), Some(id))?;
                *parts.private_dns = true;
            }
            Some(false) => *parts.private_dns = false,
            None => {}
        }
        Ok(())
    }

    /// Changes the groups, also of the interfaces that there are.
    fn change_groups(
        &self,
        draft: &mut Draft,
        (id, vpc): (&EndpointId, &VpcId),
        of: &BTreeMap<SubnetId, InterfaceId>,
        groups: &mut Vec<GroupId>,
    ) -> Result<(), AwsError> {
        if self.add_security_group_ids.is_empty() && self.remove_security_group_ids.is_empty() {
            return Ok(());
        }
        for text in &self.remove_security_group_ids {
            let (group, _) = error::named(&draft.groups, text)?;
            let place = groups.iter().position(|other| *other == group);
            let missing = || wrong(format!("{group} is not associated with {id}."));
            groups.remove(place.ok_or_else(missing)?);
        }
        if !self.add_security_group_ids.is_empty() {
            for group in edit::groups(draft, vpc, &self.add_security_group_ids)? {
                if !groups.contains(&group) {
                    groups.push(group);
                }
            }
        }
        if groups.is_empty() {
            return Err(wrong(format!("At least one security group must stay with {id}.")));
        }
        for (subnet, interface) in of {
            interfaces::check_groups(draft, subnet, groups)?;
            error::get_mut(&mut draft.interfaces, interface)?.groups = groups.clone();
        }
        Ok(())
    }
}
