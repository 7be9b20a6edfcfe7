//! What is shown of the rules of security groups.

use super::listing::{Filters, Listing};
use super::{permission, places, tags, traffic};
use crate::network::Topology;
use crate::network::error;
use crate::service::{Caller, Service};
use belljar_aws::AwsError;
use belljar_vpc::id::{GroupId, GroupRuleId};
use belljar_vpc::network::{Direction, GroupRule, Peer, SecurityGroup};
use ipnet::IpNet;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const FILTERS: Filters =
    &[("group-id", "GroupId"), ("security-group-rule-id", "SecurityGroupRuleId")];

pub(super) async fn describe(
    service: &Service,
    _: &Caller,
    mut listing: Listing,
) -> Result<Value, AwsError> {
    let now = service.network.current();
    let mut items = BTreeMap::new();
    for (id, group) in &now.groups {
        for (rule, of) in &group.rules {
            items.insert(rule, (id, group.as_ref(), of));
        }
    }
    let wanted: Vec<String> = listing.take("SecurityGroupRuleIds")?;
    if !wanted.is_empty() {
        let mut ids = Vec::new();
        for text in &wanted {
            let id: GroupRuleId = error::id(text)?;
            ids.push(items.contains_key(&id).then_some(id.clone()).ok_or(error::not_found(&id))?);
        }
        items.retain(|id, _| ids.contains(id));
    }
    let items = items.into_iter().map(|(rule, (id, group, of))| {
        (rule.to_string(), shown_rule(service, &now, (id, group), rule, of))
    });
    listing.answer("SecurityGroupRules", items, FILTERS)
}

pub(super) fn shown_rule(
    service: &Service,
    now: &Topology,
    (id, group): (&GroupId, &SecurityGroup),
    rule: &GroupRuleId,
    of: &GroupRule,
) -> Value {
    let mut shown = with_traffic(
        of,
        json!({
            "SecurityGroupRuleId": rule.as_str(),
            "SecurityGroupRuleArn": places::arn(service, "security-group-rule", rule.as_str()),
            "GroupId": id.as_str(),
            "GroupOwnerId": places::account(service),
            "Tags": tags::shown(&now.tags, rule.as_str()),
        }),
    );
    if let Peer::Group(of) = &of.peer {
        let mut info = json!({"GroupId": of.as_str(), "UserId": places::account(service)});
        permission::put_peering(now, &group.vpc, of, &mut info);
        shown["ReferencedGroupInfo"] = info;
    }
    shown
}

pub(super) fn revoked(id: &GroupId, rule: &GroupRuleId, of: &GroupRule) -> Value {
    let mut shown =
        with_traffic(of, json!({"SecurityGroupRuleId": rule.as_str(), "GroupId": id.as_str()}));
    if let Peer::Group(of) = &of.peer {
        shown["ReferencedGroupId"] = of.as_str().into();
    }
    shown
}

/// What every form of a rule has.
fn with_traffic(rule: &GroupRule, mut shown: Value) -> Value {
    shown["IsEgress"] = (rule.direction == Direction::Egress).into();
    shown["IpProtocol"] = traffic::name(&rule.traffic).into();
    shown["Description"] = rule.description.clone().into();
    traffic::put_numbers(&mut shown, &rule.traffic, true);
    match &rule.peer {
        Peer::Cidr(block @ IpNet::V4(_)) => shown["CidrIpv4"] = block.to_string().into(),
        Peer::Cidr(block @ IpNet::V6(_)) => shown["CidrIpv6"] = block.to_string().into(),
        Peer::PrefixList(id) => shown["PrefixListId"] = id.as_str().into(),
        Peer::Group(_) => {}
    }
    shown
}
