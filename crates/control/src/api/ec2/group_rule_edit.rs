//! Changes of the rules that a security group has: what is written beside them, and what they say.

use super::group_rule::{check_weight, insert, no_such_rule, of_ids, of_rules};
use super::permission::{self, IpPermission, Which};
use super::{group, traffic};
use crate::network::error::{self, invalid};
use crate::service::{Caller, Service};
use belljar_aws::AwsError;
use belljar_vpc::Description;
use belljar_vpc::id::GroupRuleId;
use belljar_vpc::network::{Direction, GroupRule, Peer, SecurityGroup};
use serde::Deserialize;
use serde_json::{Value, json};

/// What `UpdateSecurityGroupRuleDescriptions…` take.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Describe {
    group_id: Option<String>,
    group_name: Option<String>,
    #[serde(default)]
    ip_permissions: Vec<IpPermission>,
    #[serde(default)]
    security_group_rule_descriptions: Vec<RuleDescription>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct RuleDescription {
    security_group_rule_id: Option<String>,
    description: Option<String>,
}

pub(super) async fn describe_ingress(
    service: &Service,
    _: &Caller,
    input: Describe,
) -> Result<Value, AwsError> {
    set_descriptions(service, input, Direction::Ingress).await
}

pub(super) async fn describe_egress(
    service: &Service,
    _: &Caller,
    input: Describe,
) -> Result<Value, AwsError> {
    set_descriptions(service, input, Direction::Egress).await
}

async fn set_descriptions(
    service: &Service,
    input: Describe,
    direction: Direction,
) -> Result<Value, AwsError> {
    let edit = service.network.edit(|draft| {
        let id = group::find(draft, input.group_id.as_deref(), input.group_name.as_deref())?;
        let group = error::get(&draft.groups, &id)?;
        let mut texts = Vec::new();
        for of in &input.security_group_rule_descriptions {
            let rule = of.security_group_rule_id.clone().unwrap_or_default();
            if let Some(text) = &of.description {
                group::check_text("description", "rule description", text)?;
            }
            texts.push((of_ids(group, direction, &[rule])?, of.description.clone()));
        }
        if texts.is_empty() || !input.ip_permissions.is_empty() {
            let of = (&group.vpc, direction);
            for wanted in permission::read(service, draft, of, &input.ip_permissions, Which::Kept)?
            {
                let text = wanted.description.clone();
                let (ids, missing) = of_rules(group, vec![wanted]);
                if !missing.is_empty() {
                    return Err(no_such_rule());
                }
                texts.push((ids, text));
            }
        }
        let group = error::get_mut(&mut draft.groups, &id)?;
        for (ids, text) in texts {
            for rule in ids {
                group.rules.entry(rule).and_modify(|rule| rule.description = text.clone());
            }
        }
        Ok(())
    });
    edit.await?;
    Ok(json!({"Return": true}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Modify {
    group_id: String,
    security_group_rules: Vec<Update>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Update {
    security_group_rule_id: String,
    security_group_rule: Option<Request>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Request {
    ip_protocol: Option<String>,
    from_port: Option<i64>,
    to_port: Option<i64>,
    cidr_ipv4: Option<String>,
    cidr_ipv6: Option<String>,
    prefix_list_id: Option<String>,
    referenced_group_id: Option<String>,
    description: Option<String>,
}

impl Request {
    fn peer(&self, d: &Description, group: &SecurityGroup) -> Result<Peer, AwsError> {
        let given =
            [&self.cidr_ipv4, &self.cidr_ipv6, &self.prefix_list_id, &self.referenced_group_id];
        match given {
            [Some(v4), None, None, None] => permission::cidr(v4, false),
            [None, Some(v6), None, None] => permission::cidr(v6, true),
            [None, None, Some(list), None] => permission::prefix_list(d, list),
            [None, None, None, Some(of)] => {
                permission::reachable(d, &group.vpc, error::named(&d.groups, of)?.0)
            }
            _ => Err(invalid("Exactly one source or destination of a rule must be specified.")),
        }
    }
}

pub(super) async fn modify(
    service: &Service,
    _: &Caller,
    input: Modify,
) -> Result<Value, AwsError> {
    let edit = service.network.edit(|draft| {
        let (id, _) = error::named(&draft.groups, &input.group_id)?;
        // All of them go before one comes: two rules may change places.
        let mut changed = Vec::new();
        for update in &input.security_group_rules {
            let rule_id: GroupRuleId = error::id(&update.security_group_rule_id)?;
            let request = update.security_group_rule.as_ref();
            let request =
                request.ok_or_else(|| super::request::missing_parameter("SecurityGroupRule"))?;
            if let Some(text) = &request.description {
                group::check_text("description", "rule description", text)?;
            }
            let group = error::get(&draft.groups, &id)?;
            let peer = request.peer(draft, group)?;
            let protocol = request.ip_protocol.as_deref();
            let protocol =
                protocol.ok_or_else(|| super::request::missing_parameter("ipProtocol"))?;
            let traffic = traffic::read(protocol, request.from_port, request.to_port)?;
            let group = error::get_mut(&mut draft.groups, &id)?;
            let old = group.rules.remove(&rule_id).ok_or_else(|| error::not_found(&rule_id))?;
            let description = request.description.clone();
            let direction = old.direction;
            changed.push((rule_id, GroupRule { direction, traffic, peer, description }));
        }
        for (rule_id, rule) in changed {
            let direction = rule.direction;
            insert(draft, &id, rule_id, rule)?;
            check_weight(draft, &id, direction)?;
        }
        Ok(())
    });
    edit.await?;
    Ok(json!({"Return": true}))
}
