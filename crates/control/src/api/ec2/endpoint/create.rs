//! `CreateVpcEndpoint`.

use super::{edit, list, offered, policy, wrong, zones};
use crate::api::ec2::tags::{self, TagSpecification};
use crate::api::ec2::token;
use crate::network::error::{self, refused};
use crate::network::{Draft, quotas};
use crate::service::{Caller, Service};
use belljar_aws::AwsError;
use belljar_vpc::id::{EndpointId, SubnetId, VpcId};
use belljar_vpc::network::{Endpoint, EndpointKind};
use belljar_vpc::services::Service as Offered;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(in crate::api::ec2) struct Create {
    vpc_endpoint_type: Option<String>,
    vpc_id: String,
    service_name: Option<String>,
    policy_document: Option<String>,
    #[serde(default)]
    route_table_ids: Vec<String>,
    #[serde(default)]
    subnet_ids: Vec<String>,
    #[serde(default)]
    security_group_ids: Vec<String>,
    ip_address_type: Option<String>,
    dns_options: Option<DnsOptions>,
    client_token: Option<String>,
    private_dns_enabled: Option<bool>,
    #[serde(default)]
    tag_specifications: Vec<TagSpecification>,
    #[serde(default)]
    subnet_configurations: Vec<SubnetConfiguration>,
    service_region: Option<String>,
}

/// What an endpoint's names resolve to: IPv4 addresses, for all who ask.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct DnsOptions {
    dns_record_ip_type: Option<String>,
    private_dns_only_for_inbound_resolver_endpoint: Option<bool>,
}

/// The address that an endpoint is to have in one of its subnets.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct SubnetConfiguration {
    subnet_id: Option<String>,
    ipv4: Option<String>,
}

pub(in crate::api::ec2) async fn create(
    service: &Service,
    _: &Caller,
    input: Create,
) -> Result<Value, AwsError> {
    let tags = tags::of(&input.tag_specifications, "vpc-endpoint")?;
    let name = input.service_name.as_deref();
    let name = name.ok_or_else(|| super::super::request::missing_parameter("serviceName"))?;
    let offered = offered(service, name)?;
    let kind = input.kind(offered)?;
    input.check_served(service, kind)?;
    let policy = input.policy_document.clone().map(policy::checked).transpose()?;
    let edit = service.network.edit(|draft| {
        let token = input.client_token.as_deref();
        token::once(draft, ("CreateVpcEndpoint", token), &input, |draft| {
            let (vpc, _) = error::named(&draft.vpcs, &input.vpc_id)?;
            let id: EndpointId = draft.fresh();
            let kind = match kind {
                Kind::Gateway => input.gateway(draft, &id, &vpc)?,
                Kind::Interface => input.interface(draft, (&id, offered), &vpc, service)?,
            };
            let endpoint = Endpoint { vpc, service: name.to_owned(), kind, policy };
            draft.endpoints.insert(id.clone(), Arc::new(endpoint));
            draft.tag(id.as_str(), tags);
            Ok(id)
        })
    });
    let (id, now) = edit.await?;
    let shown = list::shown(service, &now, &id, error::get(&now.endpoints, &id)?);
    Ok(json!({"VpcEndpoint": shown, "ClientToken": input.client_token}))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Gateway,
    Interface,
}

impl Create {
    fn kind(&self, offered: &Offered) -> Result<Kind, AwsError> {
        let types = if offered.gateway { "Gateway, Interface" } else { "Interface" };
        match self.vpc_endpoint_type.as_deref().unwrap_or("Gateway") {
            "Gateway" if offered.gateway => Ok(Kind::Gateway),
            "Interface" => Ok(Kind::Interface),
            other => Err(wrong(format!(
                "Endpoint type ({other}) does not match available service types ([{types}])."
            ))),
        }
    }

    /// Refuses by name what is not served, and what is of the other kind.
    fn check_served(&self, service: &Service, kind: Kind) -> Result<(), AwsError> {
        let region = self.service_region.as_ref();
        if let Some(region) = region.filter(|region| **region != service.config.region) {
            return Err(not_served(format!("ServiceRegion {region}")));
        }
        if let Some(other) = self.ip_address_type.as_ref().filter(|kind| *kind != "ipv4") {
            return Err(not_served(format!("IpAddressType {other}")));
        }
        check_dns_options(self.dns_options.as_ref())?;
        let gateway = [("RouteTableIds", !self.route_table_ids.is_empty())];
        let interface = [
            ("SubnetIds", !self.subnet_ids.is_empty()),
            ("SecurityGroupIds", !self.security_group_ids.is_empty()),
            ("SubnetConfigurations", !self.subnet_configurations.is_empty()),
            ("PrivateDnsEnabled", self.private_dns_enabled == Some(true)),
        ];
        let (others, name) = match kind {
            Kind::Gateway => (interface.as_slice(), "Gateway"),
            Kind::Interface => (gateway.as_slice(), "Interface"),
        };
        match others.iter().find(|(_, given)| *given) {
            Some((member, _)) => {
                Err(wrong(format!("{member} is not supported for endpoints of the type {name}.")))
            }
            None => Ok(()),
        }
    }

    fn gateway(
        &self,
        draft: &mut Draft,
        id: &EndpointId,
        vpc: &VpcId,
    ) -> Result<EndpointKind, AwsError> {
        let gateways = draft.endpoints.values().filter(|e| is_gateway(&e.kind)).count();
        check_count(gateways, quotas::GATEWAY_ENDPOINTS)?;
        let service = self.service_name.as_deref().unwrap_or_default();
        let mut route_tables = BTreeSet::new();
        for table in &self.route_table_ids {
            let (table, _) = error::named(&draft.route_tables, table)?;
            if route_tables.insert(table.clone()) {
                edit::join(draft, (id, service), vpc, &table)?;
            }
        }
        Ok(EndpointKind::Gateway { route_tables })
    }

    fn interface(
        &self,
        draft: &mut Draft,
        (id, offered): (&EndpointId, &Offered),
        vpc: &VpcId,
        service: &Service,
    ) -> Result<EndpointKind, AwsError> {
        let here = |e: &&Arc<Endpoint>| e.vpc == *vpc && !is_gateway(&e.kind);
        let count = draft.endpoints.values().filter(here).count();
        check_count(count, quotas::INTERFACE_ENDPOINTS)?;
        let region = &service.config.region;
        let private_dns = self.private_dns_enabled.unwrap_or(false);
        if private_dns {
            let names = offered.private_names(region);
            let name = names.first().map_or("", String::as_str);
            zones::check(draft, vpc, (&offered.full_name(region), name), None)?;
        }
        let groups = edit::groups(draft, vpc, &self.security_group_ids)?;
        let subnets = subnets(draft, &self.subnet_ids, &self.subnet_configurations)?;
        let mut interfaces = BTreeMap::new();
        edit::add_interfaces(draft, (id, vpc), &subnets, &groups, &mut interfaces)?;
        Ok(EndpointKind::Interface { interfaces, groups, private_dns })
    }
}

/// The subnets that are named, each once, with the addresses that are asked for in them.
pub(super) fn subnets(
    draft: &Draft,
    named: &[String],
    configurations: &[SubnetConfiguration],
) -> Result<Vec<(SubnetId, Option<Ipv4Addr>)>, AwsError> {
    let mut subnets: Vec<(SubnetId, Option<Ipv4Addr>)> = Vec::new();
    for text in named {
        let (id, _) = error::named(&draft.subnets, text)?;
        if !subnets.iter().any(|(other, _)| *other == id) {
            subnets.push((id, None));
        }
    }
    for configuration in configurations {
        let text = configuration.subnet_id.as_deref().unwrap_or_default();
        let id: SubnetId = error::id(text)?;
        let of = subnets.iter_mut().find(|(other, _)| *other == id).ok_or_else(|| {
            wrong(format!("The subnet {id} of SubnetConfigurations is not one of the subnets."))
        })?;
        let Some(address) = &configuration.ipv4 else { continue };
        let read = address.parse();
        of.1 = Some(read.map_err(|_| wrong(format!("{address} is not an IPv4 address.")))?);
    }
    Ok(subnets)
}

pub(super) fn check_dns_options(options: Option<&DnsOptions>) -> Result<(), AwsError> {
    let Some(options) = options else { return Ok(()) };
    let kind = options.dns_record_ip_type.as_ref();
    if let Some(other) = kind.filter(|kind| !matches!(kind.as_str(), "ipv4" | "service-defined")) {
        return Err(not_served(format!("DnsRecordIpType {other}")));
    }
    if options.private_dns_only_for_inbound_resolver_endpoint == Some(true) {
        return Err(not_served("PrivateDnsOnlyForInboundResolverEndpoint"));
    }
    Ok(())
}

pub(super) fn not_served(what: impl std::fmt::Display) -> AwsError {
    refused("UnsupportedOperation", format!("Belljar does not serve {what} of VPC endpoints."))
}

fn is_gateway(kind: &EndpointKind) -> bool {
    matches!(kind, EndpointKind::Gateway { .. })
}

fn check_count(count: usize, most: usize) -> Result<(), AwsError> {
    if count < most {
        return Ok(());
    }
    let text = "You have reached the limit on the number of VPC endpoints you can create.";
    Err(refused("VpcEndpointLimitExceeded", text))
}
