"""Every operation of EC2 and Route 53 that is served, by the AWS command line: one that no call here
is for fails the test. The command line runs in this process, because it takes longer to start than
all its calls."""

import contextlib
import functools
import io
import json
import logging
import os
from pathlib import Path
from unittest import mock

import pytest
from awscli.clidriver import create_clidriver
from botocore import xform_name
from test_ec2 import clear

MODELS = Path(__file__).resolve().parents[2] / "crates/aws/models"


class Aws:
    """`aws SERVICE`: `call("create-vpc", cidr_block="10.0.0.0/16")`."""

    def __init__(self, service: str):
        self.service = service
        session = create_clidriver().session
        self.models = session.get_component("data_loader")
        # It takes longer to be made than anything else of a call.
        self.client = functools.cache(session.create_client)
        self.called: set[str] = set()

    def run(self, operation: str, options: dict) -> tuple[int, str, str]:
        words = [self.service, operation]
        for name, value in options.items():
            flag = f"--{name.replace('_', '-')}"
            if isinstance(value, bool):
                words.append(flag if value else flag.replace("--", "--no-", 1))
            elif isinstance(value, list) and all(isinstance(v, str) for v in value):
                words += [flag, *value]
            else:
                words += [flag, value if isinstance(value, str) else json.dumps(value)]
        out, err = io.StringIO(), io.StringIO()
        # A driver keeps something of one call that is in the way of the next.
        driver = create_clidriver()
        driver.session.register_component("data_loader", self.models)
        driver.session.create_client = self.client
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = driver.main(words)
        return code, out.getvalue(), err.getvalue()

    def __call__(self, operation: str, **options):
        code, out, err = self.run(operation, options)
        assert code == 0, f"{operation} {options}: {err}"
        self.called.add(operation)
        return json.loads(out) if out.strip() else None

    def refused(self, operation: str, **options) -> str:
        """The code of an error."""
        code, _, err = self.run(operation, options)
        assert code != 0, operation
        return err.partition("(")[2].partition(")")[0]

    def all_called(self) -> None:
        model = json.loads((MODELS / f"{self.service}.json").read_text())
        served = {xform_name(name, "-") for name in model["operations"]}
        assert served - self.called == set(), "served, and not called here"


@pytest.fixture(scope="module", autouse=True)
def environment(service):
    if service.belljar.other_user:
        pytest.skip("the command line is the same for every user")
    # What it notes of each call for debugging takes longer than the call.
    logging.disable(logging.INFO)
    home = {"HOME": str(service.belljar.folder), "AWS_PAGER": "", "AWS_MAX_ATTEMPTS": "1"}
    with mock.patch.dict(os.environ, {**service.environment, **home}):
        yield
    logging.disable(logging.NOTSET)


def test_every_operation_of_ec2(service):
    ec2 = Aws("ec2")
    region(ec2)
    default_vpc(ec2, service)
    vpc = ec2("create-vpc", cidr_block="10.77.0.0/16")["Vpc"]["VpcId"]
    subnets = blocks(ec2, vpc)
    options(ec2, vpc)
    group = groups(ec2, vpc)
    gateway = tables(ec2, vpc, subnets[0])
    acls(ec2, vpc, subnets[0])
    prefix_lists(ec2)
    peering(ec2, vpc)
    flow_logs(ec2, vpc, service)
    interfaces(ec2, subnets, group)
    endpoints(ec2, vpc)
    ec2("detach-internet-gateway", internet_gateway_id=gateway, vpc_id=vpc)
    ec2("delete-internet-gateway", internet_gateway_id=gateway)
    for subnet in subnets:
        ec2("delete-subnet", subnet_id=subnet)
    ec2("delete-security-group", group_id=group)
    ec2("delete-vpc", vpc_id=vpc)
    assert ec2.refused("describe-vpcs", vpc_ids=[vpc]) == "InvalidVpcID.NotFound"
    ec2.all_called()


def region(ec2):
    assert ec2("describe-regions")["Regions"]
    assert ec2("describe-availability-zones")["AvailabilityZones"]
    assert ec2("describe-account-attributes", attribute_names=["default-vpc"])["AccountAttributes"]


def default_vpc(ec2, service):
    [old] = ec2("describe-vpcs", filters="Name=is-default,Values=true")["Vpcs"]
    assert ec2.refused("create-default-vpc") == "DefaultVpcAlreadyExists"
    of = f"Name=vpc-id,Values={old['VpcId']}"
    zone = ec2("describe-subnets", filters=of)["Subnets"][0]["AvailabilityZone"]
    there = "DefaultSubnetAlreadyExistsInAvailabilityZone"
    assert ec2.refused("create-default-subnet", availability_zone=zone) == there
    clear(service.client("ec2"), old["VpcId"])
    assert ec2.refused("create-default-subnet", availability_zone=zone) == "DefaultVpcDoesNotExist"
    new = ec2("create-default-vpc")["Vpc"]["VpcId"]
    subnets = ec2("describe-subnets", filters=f"Name=vpc-id,Values={new}")["Subnets"]
    [was] = [s for s in subnets if s["AvailabilityZone"] == zone]
    ec2("delete-subnet", subnet_id=was["SubnetId"])
    made = ec2("create-default-subnet", availability_zone=zone)["Subnet"]
    assert {**was, "SubnetId": "", "SubnetArn": ""} == {**made, "SubnetId": "", "SubnetArn": ""}
    assert made["DefaultForAz"] and made["MapPublicIpOnLaunch"] and made["CidrBlock"].endswith("/20")
    assert ec2.refused("create-default-subnet", availability_zone="nowhere") == "InvalidParameterValue"


def blocks(ec2, vpc: str) -> list[str]:
    ec2("modify-vpc-attribute", vpc_id=vpc, enable_dns_hostnames={"Value": True})
    seen = ec2("describe-vpc-attribute", vpc_id=vpc, attribute="enableDnsHostnames")
    assert seen["EnableDnsHostnames"] == {"Value": True}
    more = ec2("associate-vpc-cidr-block", vpc_id=vpc, cidr_block="100.64.0.0/16")["CidrBlockAssociation"]
    ec2("disassociate-vpc-cidr-block", association_id=more["AssociationId"])
    six = ec2("associate-vpc-cidr-block", vpc_id=vpc, amazon_provided_ipv6_cidr_block=True)
    six = six["Ipv6CidrBlockAssociation"]["Ipv6CidrBlock"].replace("/56", "/64")
    made = [
        ec2("create-subnet", vpc_id=vpc, cidr_block=f"10.77.{n}.0/24")["Subnet"]["SubnetId"] for n in (1, 2)
    ]
    ec2("modify-subnet-attribute", subnet_id=made[1], map_public_ip_on_launch=True)
    first = ec2("associate-subnet-cidr-block", subnet_id=made[1], ipv6_cidr_block=six)
    first = first["Ipv6CidrBlockAssociation"]["AssociationId"]
    ec2("disassociate-subnet-cidr-block", association_id=first)
    ec2("associate-subnet-cidr-block", subnet_id=made[0], ipv6_cidr_block=six)
    return made


def options(ec2, vpc: str):
    [was] = ec2("describe-vpcs", vpc_ids=[vpc])["Vpcs"]
    domain = "Key=domain-name,Values=corp.example.com"
    made = ec2("create-dhcp-options", dhcp_configurations=[domain])["DhcpOptions"]["DhcpOptionsId"]
    ec2("associate-dhcp-options", dhcp_options_id=made, vpc_id=vpc)
    assert ec2("describe-dhcp-options", dhcp_options_ids=[made])["DhcpOptions"]
    ec2("associate-dhcp-options", dhcp_options_id=was["DhcpOptionsId"], vpc_id=vpc)
    ec2("delete-dhcp-options", dhcp_options_id=made)
    ec2("create-tags", resources=[vpc], tags="Key=Name,Value=all")
    of = f"Name=resource-id,Values={vpc}"
    assert ec2("describe-tags", filters=of)["Tags"][0]["Value"] == "all"
    ec2("delete-tags", resources=[vpc], tags="Key=Name")
    assert ec2("describe-tags", filters=of)["Tags"] == []


def groups(ec2, vpc: str) -> str:
    given = {"group_name": "all", "description": "of the command line", "vpc_id": vpc}
    made = ec2("create-security-group", **given)["GroupId"]
    web = {"group_id": made, "protocol": "tcp", "port": "443", "cidr": "10.0.0.0/8"}
    of = lambda text: [
        {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "10.0.0.0/8", "Description": text}]}
    ]
    for way in ("ingress", "egress"):
        [rule] = ec2(f"authorize-security-group-{way}", **web)["SecurityGroupRules"]
        ec2(f"update-security-group-rule-descriptions-{way}", group_id=made, ip_permissions=of("new"))
        rule = rule["SecurityGroupRuleId"]
        [seen] = ec2("describe-security-group-rules", security_group_rule_ids=[rule])["SecurityGroupRules"]
        assert seen["Description"] == "new"
        ec2(f"revoke-security-group-{way}", **web)
    rule = ec2("authorize-security-group-ingress", **web)["SecurityGroupRules"][0]["SecurityGroupRuleId"]
    change = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "CidrIpv4": "10.0.0.0/8"}
    change = [{"SecurityGroupRuleId": rule, "SecurityGroupRule": change}]
    ec2("modify-security-group-rules", group_id=made, security_group_rules=change)
    [seen] = ec2("describe-security-groups", group_ids=[made])["SecurityGroups"]
    assert seen["IpPermissions"][0]["FromPort"] == 80
    return made


def tables(ec2, vpc: str, subnet: str) -> str:
    gateway = ec2("create-internet-gateway")["InternetGateway"]["InternetGatewayId"]
    ec2("attach-internet-gateway", internet_gateway_id=gateway, vpc_id=vpc)
    assert ec2("describe-internet-gateways", internet_gateway_ids=[gateway])["InternetGateways"]
    table, other = (ec2("create-route-table", vpc_id=vpc)["RouteTable"]["RouteTableId"] for _ in range(2))
    first = ec2("associate-route-table", route_table_id=table, subnet_id=subnet)["AssociationId"]
    second = ec2("replace-route-table-association", association_id=first, route_table_id=other)
    route = {"route_table_id": table, "destination_cidr_block": "0.0.0.0/0"}
    ec2("create-route", **route, gateway_id=gateway)
    ec2("replace-route", **route, gateway_id=gateway)
    [seen] = ec2("describe-route-tables", route_table_ids=[table])["RouteTables"]
    assert [r["GatewayId"] for r in seen["Routes"] if r.get("DestinationCidrBlock") == "0.0.0.0/0"] == [gateway]
    ec2("delete-route", **route)
    ec2("disassociate-route-table", association_id=second["NewAssociationId"])
    for one in (table, other):
        ec2("delete-route-table", route_table_id=one)
    return gateway


def acls(ec2, vpc: str, subnet: str):
    acl = ec2("create-network-acl", vpc_id=vpc)["NetworkAcl"]["NetworkAclId"]
    at = {"network_acl_id": acl, "rule_number": "10", "ingress": True}
    entry = {"protocol": "tcp", "port_range": "From=443,To=443", "cidr_block": "10.0.0.0/8"}
    ec2("create-network-acl-entry", **at, **entry, rule_action="allow")
    ec2("replace-network-acl-entry", **at, **entry, rule_action="deny")
    [seen] = ec2("describe-network-acls", network_acl_ids=[acl])["NetworkAcls"]
    assert [e["RuleAction"] for e in seen["Entries"] if e["RuleNumber"] == 10] == ["deny"]
    ec2("delete-network-acl-entry", **at)
    of = f"Name=association.subnet-id,Values={subnet}"
    [default] = ec2("describe-network-acls", filters=of)["NetworkAcls"]
    [own] = [a for a in default["Associations"] if a["SubnetId"] == subnet]
    for to in (acl, default["NetworkAclId"]):
        replaced = ec2("replace-network-acl-association", association_id=own["NetworkAclAssociationId"], network_acl_id=to)
        own = {"NetworkAclAssociationId": replaced["NewAssociationId"]}
    ec2("delete-network-acl", network_acl_id=acl)


def prefix_lists(ec2):
    assert ec2("describe-prefix-lists")["PrefixLists"]
    given = {"prefix_list_name": "all", "address_family": "IPv4", "max_entries": "5", "entries": "Cidr=10.0.0.0/8"}
    made = ec2("create-managed-prefix-list", **given)["PrefixList"]["PrefixListId"]
    own = {"prefix_list_id": made}
    ec2("modify-managed-prefix-list", **own, current_version="1", add_entries="Cidr=192.168.0.0/16")
    assert len(ec2("get-managed-prefix-list-entries", **own)["Entries"]) == 2
    ec2("restore-managed-prefix-list-version", **own, previous_version="1", current_version="2")
    [seen] = ec2("describe-managed-prefix-lists", prefix_list_ids=[made])["PrefixLists"]
    assert seen["Version"] == 3
    assert ec2("get-managed-prefix-list-associations", **own)["PrefixListAssociations"] == []
    ec2("delete-managed-prefix-list", **own)


def peering(ec2, vpc: str):
    other = ec2("create-vpc", cidr_block="10.78.0.0/16")["Vpc"]["VpcId"]
    both = {"vpc_id": vpc, "peer_vpc_id": other}
    ask = lambda: ec2("create-vpc-peering-connection", **both)["VpcPeeringConnection"]["VpcPeeringConnectionId"]
    ec2("reject-vpc-peering-connection", vpc_peering_connection_id=ask())
    own = {"vpc_peering_connection_id": ask()}
    ec2("accept-vpc-peering-connection", **own)
    allow = "AllowDnsResolutionFromRemoteVpc=true"
    ec2("modify-vpc-peering-connection-options", **own, requester_peering_connection_options=allow)
    ids = {"vpc_peering_connection_ids": list(own.values())}
    [seen] = ec2("describe-vpc-peering-connections", **ids)["VpcPeeringConnections"]
    assert seen["Status"]["Code"] == "active"
    ec2("delete-vpc-peering-connection", **own)
    ec2("delete-vpc", vpc_id=other)


def flow_logs(ec2, vpc: str, service):
    s3 = service.client("s3")
    s3.create_bucket(Bucket="flow-logs-of-the-cli")
    given = {"resource_type": "VPC", "resource_ids": [vpc], "traffic_type": "ALL", "log_destination_type": "s3"}
    made = ec2("create-flow-logs", **given, log_destination="arn:aws:s3:::flow-logs-of-the-cli")
    assert made["Unsuccessful"] == []
    [seen] = ec2("describe-flow-logs", flow_log_ids=made["FlowLogIds"])["FlowLogs"]
    assert seen["ResourceId"] == vpc
    ec2("delete-flow-logs", flow_log_ids=made["FlowLogIds"])
    for one in s3.list_objects_v2(Bucket="flow-logs-of-the-cli").get("Contents", []):
        s3.delete_object(Bucket="flow-logs-of-the-cli", Key=one["Key"])
    s3.delete_bucket(Bucket="flow-logs-of-the-cli")


def interfaces(ec2, subnets: list[str], group: str):
    given = {"groups": [group], "description": "of the command line"}
    one, two = (
        ec2("create-network-interface", subnet_id=s, **given)["NetworkInterface"]["NetworkInterfaceId"] for s in subnets
    )
    own = {"network_interface_id": one}
    ec2("modify-network-interface-attribute", **own, source_dest_check=False)
    seen = ec2("describe-network-interface-attribute", **own, attribute="sourceDestCheck")
    assert seen["SourceDestCheck"] == {"Value": False}
    more = ec2("assign-private-ip-addresses", **own, secondary_private_ip_address_count="1")
    [more] = more["AssignedPrivateIpAddresses"]
    ec2("unassign-private-ip-addresses", **own, private_ip_addresses=[more["PrivateIpAddress"]])
    six = ec2("assign-ipv6-addresses", **own, ipv6_address_count="1")["AssignedIpv6Addresses"]
    ec2("unassign-ipv6-addresses", **own, ipv6_addresses=six)
    elastic = ec2("allocate-address", domain="vpc")["AllocationId"]
    at = ec2("associate-address", allocation_id=elastic, network_interface_id=one)["AssociationId"]
    assert ec2("describe-addresses", allocation_ids=[elastic])["Addresses"][0]["NetworkInterfaceId"] == one
    assert ec2("describe-vpn-gateways")["VpnGateways"] == []
    assert ec2("describe-addresses-attribute", attribute="domain-name")["Addresses"][0]["AllocationId"] == elastic
    ec2("disassociate-address", association_id=at)
    nat = ec2("create-nat-gateway", subnet_id=subnets[1], connectivity_type="private")["NatGateway"]["NatGatewayId"]
    assert ec2("describe-nat-gateways", nat_gateway_ids=[nat])["NatGateways"][0]["State"] == "available"
    ec2("delete-nat-gateway", nat_gateway_id=nat)
    ec2("release-address", allocation_id=elastic)
    path(ec2, one, two)
    assert len(ec2("describe-network-interfaces", network_interface_ids=[one, two])["NetworkInterfaces"]) == 2
    for eni in (one, two):
        ec2("delete-network-interface", network_interface_id=eni)


def path(ec2, one: str, two: str):
    ends = {"source": one, "destination": two, "protocol": "tcp", "destination_port": "80"}
    made = ec2("create-network-insights-path", **ends)["NetworkInsightsPath"]["NetworkInsightsPathId"]
    assert ec2("describe-network-insights-paths", network_insights_path_ids=[made])["NetworkInsightsPaths"]
    answer = ec2("start-network-insights-analysis", network_insights_path_id=made)["NetworkInsightsAnalysis"]
    assert answer["NetworkPathFound"], answer
    ids = [answer["NetworkInsightsAnalysisId"]]
    assert ec2("describe-network-insights-analyses", network_insights_analysis_ids=ids)["NetworkInsightsAnalyses"]
    ec2("delete-network-insights-analysis", network_insights_analysis_id=ids[0])
    ec2("delete-network-insights-path", network_insights_path_id=made)
    # The address is the other interface's, and so the way does not lead to the one that is named.
    [seen] = ec2("describe-network-interfaces", network_interface_ids=[two])["NetworkInterfaces"]
    ends |= {"destination": one, "destination_ip": seen["PrivateIpAddress"]}
    made = ec2("create-network-insights-path", **ends)["NetworkInsightsPath"]["NetworkInsightsPathId"]
    answer = ec2("start-network-insights-analysis", network_insights_path_id=made)["NetworkInsightsAnalysis"]
    assert [e["ExplanationCode"] for e in answer["Explanations"]] == ["NO_PATH"]
    ec2("delete-network-insights-analysis", network_insights_analysis_id=answer["NetworkInsightsAnalysisId"])
    ec2("delete-network-insights-path", network_insights_path_id=made)


def endpoints(ec2, vpc: str):
    names = ec2("describe-vpc-endpoint-services")["ServiceNames"]
    [s3] = [n for n in names if n.endswith(".s3")]
    [table] = ec2("describe-route-tables", filters=f"Name=vpc-id,Values={vpc}")["RouteTables"]
    made = ec2("create-vpc-endpoint", vpc_id=vpc, service_name=s3, route_table_ids=[table["RouteTableId"]])
    made = made["VpcEndpoint"]["VpcEndpointId"]
    ec2("modify-vpc-endpoint", vpc_endpoint_id=made, remove_route_table_ids=[table["RouteTableId"]])
    assert ec2("describe-vpc-endpoints", vpc_endpoint_ids=[made])["VpcEndpoints"][0]["RouteTableIds"] == []
    assert ec2("delete-vpc-endpoints", vpc_endpoint_ids=[made]) == {"Unsuccessful": []}


def test_every_operation_of_route_53(service):
    ec2, route53 = Aws("ec2"), Aws("route53")
    one, two = (ec2("create-vpc", cidr_block=f"10.{n}.0.0/16")["Vpc"]["VpcId"] for n in (79, 80))
    at = lambda vpc: f"VPCRegion={service.environment['AWS_REGION']},VPCId={vpc}"
    private = {"vpc": at(one), "hosted_zone_config": "PrivateZone=true,Comment=old"}
    made = route53("create-hosted-zone", name="all.example.com", caller_reference="all", **private)
    zone = made["HostedZone"]["Id"]
    own = {"hosted_zone_id": zone}
    assert route53("get-change", id=made["ChangeInfo"]["Id"])["ChangeInfo"]["Status"] == "INSYNC"
    assert route53("get-hosted-zone", id=zone)["VPCs"][0]["VPCId"] == one
    route53("associate-vpc-with-hosted-zone", **own, vpc=at(two))
    by_vpc = {"vpc_id": two, "vpc_region": service.environment["AWS_REGION"]}
    assert len(route53("list-hosted-zones-by-vpc", **by_vpc)["HostedZoneSummaries"]) == 1
    route53("disassociate-vpc-from-hosted-zone", **own, vpc=at(two))
    record = {"Name": "a.all.example.com", "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": "10.79.0.9"}]}
    for action, count in (("CREATE", 1), ("DELETE", 0)):
        batch = {"Changes": [{"Action": action, "ResourceRecordSet": record}]}
        route53("change-resource-record-sets", **own, change_batch=batch)
        sets = route53("list-resource-record-sets", **own)["ResourceRecordSets"]
        assert len([s for s in sets if s["Type"] == "A"]) == count
    bare = zone.rpartition("/")[2]
    resource = {"resource_type": "hostedzone", "resource_id": bare}
    route53("change-tags-for-resource", **resource, add_tags="Key=a,Value=b")
    assert route53("list-tags-for-resource", **resource)["ResourceTagSet"]["Tags"] == [{"Key": "a", "Value": "b"}]
    assert route53("update-hosted-zone-comment", id=zone, comment="new")["HostedZone"]["Config"]["Comment"] == "new"
    assert zone in [z["Id"] for z in route53("list-hosted-zones")["HostedZones"]]
    assert zone in [z["Id"] for z in route53("list-hosted-zones-by-name")["HostedZones"]]
    route53("delete-hosted-zone", id=zone)
    assert route53.refused("get-hosted-zone", id=zone) == "NoSuchHostedZone"
    for vpc in (one, two):
        ec2("delete-vpc", vpc_id=vpc)
    route53.all_called()
