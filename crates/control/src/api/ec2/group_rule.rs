//! The rules of a security group. Those that are there are edited in
//! `group_rule_edit`; what is shown of them is in `group_rule_shown`.

use super::group_rule_shown::{revoked, shown_rule};
use super::permission::{self, Flat, IpPermission, Which};
use super::tags::{self, TagSpecification};
use super::{group, traffic};
use crate::network::error::{self, invalid, refused};
use crate::network::{Draft, quotas};
use crate::service::{Caller, Service};
use belljar_aws::AwsError;
use belljar_vpc::Description;
use belljar_vpc::id::{GroupId, GroupRuleId};
use belljar_vpc::network::{Direction, GroupRule, Peer, SecurityGroup};
use ipnet::IpNet;
use serde::Deserialize;
use serde_json::{Value, json};

/// What `Authorize…` and `Revoke…` take.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Rules {
    group_id: Option<String>,
    group_name: Option<String>,
    #[serde(default)]
    ip_permissions: Vec<IpPermission>,
    #[serde(default)]
    security_group_rule_ids: Vec<String>,
    ip_protocol: Option<String>,
    from_port: Option<i64>,
    to_port: Option<i64>,
    cidr_ip: Option<String>,
    source_security_group_name: Option<String>,
    source_security_group_owner_id: Option<String>,
    #[serde(default)]
    tag_specifications: Vec<TagSpecification>,
}

impl Rules {
    fn group(&self, d: &Description) -> Result<GroupId, AwsError> {
        group::find(d, self.group_id.as_deref(), self.group_name.as_deref())
    }

    /// What is asked for, in one form.
    ///
    /// # Errors
    /// If it is there in two.
    fn permissions(&self) -> Result<Vec<IpPermission>, AwsError> {
        let flat = Flat {
            protocol: self.ip_protocol.clone(),
            from: self.from_port,
            to: self.to_port,
            cidr: self.cidr_ip.clone(),
            group_name: self.source_security_group_name.clone(),
            owner: self.source_security_group_owner_id.clone(),
        };
        match flat.permission() {
            None => Ok(self.ip_permissions.clone()),
            Some(one) if self.ip_permissions.is_empty() => Ok(vec![one]),
            Some(_) => {
                let text = "The parameter 'ipProtocol' may not be used in combination with \
                            'ipPermissions'";
                Err(refused("InvalidParameterCombination", text))
            }
        }
    }
}

pub(super) async fn authorize_ingress(
    service: &Service,
    _: &Caller,
    input: Rules,
) -> Result<Value, AwsError> {
    authorize(service, input, Direction::Ingress).await
}

pub(super) async fn authorize_egress(
    service: &Service,
    _: &Caller,
    input: Rules,
) -> Result<Value, AwsError> {
    authorize(service, input, Direction::Egress).await
}

async fn authorize(
    service: &Service,
    input: Rules,
    direction: Direction,
) -> Result<Value, AwsError> {
    let tags = tags::of(&input.tag_specifications, "security-group-rule")?;
    let permissions = input.permissions()?;
    let edit = service.network.edit(|draft| {
        let id = input.group(draft)?;
        let vpc = error::get(&draft.groups, &id)?.vpc.clone();
        let rules = permission::read(service, draft, (&vpc, direction), &permissions, Which::New)?;
        let twice =
            |(place, rule): (usize, &GroupRule)| rules[..place].iter().any(|o| same(o, rule));
        if rules.iter().enumerate().any(twice) {
            return Err(invalid("The same permission must not appear multiple times"));
        }
        let mut made = Vec::new();
        for rule in rules {
            let rule_id: GroupRuleId = draft.fresh();
            draft.tag(rule_id.as_str(), tags.clone());
            insert(draft, &id, rule_id.clone(), rule)?;
            made.push(rule_id);
        }
        check_weight(draft, &id, direction)?;
        Ok((id, made))
    });
    let ((id, made), now) = edit.await?;
    let group = error::get(&now.groups, &id)?;
    let shown = made.iter().filter_map(|rule| Some((rule, group.rules.get(rule)?)));
    let shown = shown.map(|(rule, of)| shown_rule(service, &now, (&id, group), rule, of));
    Ok(json!({"Return": true, "SecurityGroupRules": shown.collect::<Vec<_>>()}))
}

/// Adds a rule that there is not yet.
pub(super) fn insert(
    draft: &mut Draft,
    id: &GroupId,
    rule_id: GroupRuleId,
    rule: GroupRule,
) -> Result<(), AwsError> {
    let group = error::get_mut(&mut draft.groups, id)?;
    if group.rules.values().any(|of| same(of, &rule)) {
        let peer = match &rule.peer {
            Peer::Cidr(block) => block.to_string(),
            Peer::Group(id) => id.to_string(),
            Peer::PrefixList(id) => id.to_string(),
        };
        let text = format!(
            "the specified rule \"peer: {peer}, {}, ALLOW\" already exists",
            traffic::words(&rule.traffic)
        );
        return Err(refused("InvalidPermission.Duplicate", text));
    }
    group.rules.insert(rule_id, rule);
    Ok(())
}

/// Whether two rules allow the same.
fn same(one: &GroupRule, other: &GroupRule) -> bool {
    (one.direction, one.traffic, &one.peer) == (other.direction, other.traffic, &other.peer)
}

/// What the rules of a direction weigh, of IPv4 or of IPv6: a group is one of each, a prefix list
/// as many as it may have entries (Amazon VPC quotas). AWS's own lists have a weight of their own,
/// which of S3's is 1.
pub(super) fn check_weight(
    d: &Description,
    id: &GroupId,
    direction: Direction,
) -> Result<(), AwsError> {
    let weight = |rule: &GroupRule, v6: bool| match &rule.peer {
        Peer::Cidr(block) => usize::from(matches!(block, IpNet::V6(_)) == v6),
        Peer::Group(_) => 1,
        Peer::PrefixList(list) => match d.prefix_lists.get(list) {
            Some(list) if list.v6 != v6 => 0,
            Some(list) if list.owner != "AWS" => usize::from(list.max_entries),
            _ => 1,
        },
    };
    let rules = error::get(&d.groups, id)?.rules.values().filter(|r| r.direction == direction);
    let total = |v6| rules.clone().map(|rule| weight(rule, v6)).sum::<usize>();
    if total(false) <= quotas::GROUP_RULES && total(true) <= quotas::GROUP_RULES {
        return Ok(());
    }
    let text = "The maximum number of rules per security group has been reached.";
    Err(refused("RulesPerSecurityGroupLimitExceeded", text))
}

pub(super) async fn revoke_ingress(
    service: &Service,
    _: &Caller,
    input: Rules,
) -> Result<Value, AwsError> {
    revoke(service, input, Direction::Ingress).await
}

pub(super) async fn revoke_egress(
    service: &Service,
    _: &Caller,
    input: Rules,
) -> Result<Value, AwsError> {
    revoke(service, input, Direction::Egress).await
}

async fn revoke(service: &Service, input: Rules, direction: Direction) -> Result<Value, AwsError> {
    let permissions = input.permissions()?;
    if !permissions.is_empty() && !input.security_group_rule_ids.is_empty() {
        let text = "The parameter 'securityGroupRuleIds' may not be used in combination with \
                    'ipPermissions'";
        return Err(refused("InvalidParameterCombination", text));
    }
    let edit = service.network.edit(|draft| {
        let id = input.group(draft)?;
        let group = error::get(&draft.groups, &id)?;
        // In the default VPC these are no error (API reference, `RevokeSecurityGroupIngress`).
        let mut unknown = Vec::new();
        let ids = if permissions.is_empty() {
            if input.security_group_rule_ids.is_empty() {
                return Err(super::request::missing_parameter("ipPermissions"));
            }
            of_ids(group, direction, &input.security_group_rule_ids)?
        } else {
            let of = (&group.vpc, direction);
            let wanted = permission::read(service, draft, of, &permissions, Which::Kept)?;
            let (found, missing) = of_rules(group, wanted);
            let is_default = error::get(&draft.vpcs, &group.vpc)?.is_default;
            if !missing.is_empty() && !is_default {
                return Err(no_such_rule());
            }
            unknown = missing;
            found
        };
        let group = error::get_mut(&mut draft.groups, &id)?;
        let mut gone = Vec::new();
        for rule in ids {
            if let Some(of) = group.rules.remove(&rule) {
                gone.push(revoked(&id, &rule, &of));
            }
        }
        for rule in &gone {
            draft.tags.remove(rule["SecurityGroupRuleId"].as_str().unwrap_or_default());
        }
        Ok((id, gone, unknown))
    });
    let ((id, gone, unknown), now) = edit.await?;
    let vpc = &error::get(&now.groups, &id)?.vpc;
    let unknown = permission::shown(service, &now, vpc, unknown.iter());
    Ok(json!({
        "Return": true,
        "RevokedSecurityGroupRules": gone,
        "UnknownIpPermissions": (!unknown.is_empty()).then_some(unknown),
    }))
}

pub(super) fn of_ids(
    group: &SecurityGroup,
    direction: Direction,
    texts: &[String],
) -> Result<Vec<GroupRuleId>, AwsError> {
    let find = |text: &String| {
        let id: GroupRuleId = error::id(text)?;
        let found = group.rules.get(&id).filter(|rule| rule.direction == direction);
        found.map(|_| id.clone()).ok_or_else(|| error::not_found(&id))
    };
    texts.iter().map(find).collect()
}

/// The ids of rules, and those rules that there are not.
pub(super) fn of_rules(
    group: &SecurityGroup,
    wanted: Vec<GroupRule>,
) -> (Vec<GroupRuleId>, Vec<GroupRule>) {
    let (mut ids, mut missing) = (Vec::new(), Vec::new());
    for wanted in wanted {
        match group.rules.iter().find(|(_, rule)| same(rule, &wanted)) {
            Some((id, _)) => ids.push(id.clone()),
            None => missing.push(wanted),
        }
    }
    (ids, missing)
}

pub(super) fn no_such_rule() -> AwsError {
    let text = "The specified rule does not exist in this security group.";
    refused("InvalidPermission.NotFound", text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write;

    /// Whether a group may have so many blocks, groups, and lists of at most 20 entries.
    fn fits(blocks: u8, groups: u8, lists: u8) -> bool {
        let mut text = String::from("vpc vpc-a 10.0.0.0/16\ngroup sg-a vpc-a\n");
        for n in 0..blocks {
            let _ = writeln!(text, "  ingress tcp 443 10.0.0.{n}/32");
        }
        for n in 0..groups {
            let _ = writeln!(text, "  ingress tcp {n} sg-a");
        }
        for n in 0..lists {
            let _ = writeln!(text, "  ingress tcp {n} pl-a");
        }
        text.push_str("  ingress tcp 443 pl-s3\n  egress all 0.0.0.0/0\n");
        text.push_str("list pl-s3 com.amazonaws.us-east-1.s3 AWS 52.216.0.0/15 54.231.0.0/16\n");
        text.push_str("list pl-a ours 111122223333 10.0.0.0/8\n");
        let mut d = belljar_vpc::sample::read(&text).unwrap();
        let list = d.prefix_lists.get_mut(&"pl-a".parse().unwrap()).unwrap();
        std::sync::Arc::make_mut(list).max_entries = 20;
        check_weight(&d, &"sg-a".parse().unwrap(), Direction::Ingress).is_ok()
    }

    #[test]
    fn case_04_a_rule_weighs_what_its_peer_may_have() {
        // The list of AWS's weighs 1, whatever it has; one of a customer what it may have at most.
        assert!(fits(59, 0, 0) && !fits(60, 0, 0));
        assert!(fits(58, 1, 0) && !fits(58, 2, 0));
        assert!(fits(19, 0, 2) && !fits(20, 0, 2) && !fits(0, 0, 3));
        // A group is a rule of IPv6, too.
        assert!(fits(0, 59, 0) && !fits(0, 60, 0));
    }
}
