//! The rules of a security group.

use super::listing::{Filters, Listing};
use super::permission::{self, Flat, IpPermission};
use super::tags::{self, TagSpecification};
use super::{group, places, traffic};
use crate::network::error::{self, invalid, refused};
use crate::network::{Draft, Topology, quotas};
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
        let rules = permission::read(service, draft, (&vpc, direction), &permissions)?;
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
fn insert(
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
        let ids = if permissions.is_empty() {
            if input.security_group_rule_ids.is_empty() {
                return Err(super::request::missing_parameter("ipPermissions"));
            }
            of_ids(group, direction, &input.security_group_rule_ids)?
        } else {
            let wanted = permission::read(service, draft, (&group.vpc, direction), &permissions)?;
            of_rules(group, &wanted)?
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
        Ok(gone)
    });
    let (gone, _) = edit.await?;
    Ok(json!({"Return": true, "RevokedSecurityGroupRules": gone}))
}

fn of_ids(
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

fn of_rules(group: &SecurityGroup, wanted: &[GroupRule]) -> Result<Vec<GroupRuleId>, AwsError> {
    let find = |wanted: &GroupRule| {
        let found = group.rules.iter().find(|(_, rule)| same(rule, wanted));
        found.map(|(id, _)| id.clone()).ok_or_else(no_such_rule)
    };
    wanted.iter().map(find).collect()
}

fn no_such_rule() -> AwsError {
    let text = "The specified rule does not exist in this security group.";
    refused("InvalidPermission.NotFound", text)
}

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
            for wanted in permission::read(service, draft, of, &input.ip_permissions)? {
                let ids = of_rules(group, std::slice::from_ref(&wanted))?;
                texts.push((ids, wanted.description));
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
            let rule = GroupRule { direction, traffic, peer, description };
            insert(draft, &id, rule_id, rule)?;
            check_weight(draft, &id, direction)?;
        }
        Ok(())
    });
    edit.await?;
    Ok(json!({"Return": true}))
}

const FILTERS: Filters =
    &[("group-id", "GroupId"), ("security-group-rule-id", "SecurityGroupRuleId")];

pub(super) async fn describe(
    service: &Service,
    _: &Caller,
    mut listing: Listing,
) -> Result<Value, AwsError> {
    let now = service.network.current();
    let mut items = std::collections::BTreeMap::new();
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

fn shown_rule(
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

fn revoked(id: &GroupId, rule: &GroupRuleId, of: &GroupRule) -> Value {
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
