"""EC2's networks by boto3 and the AWS command line. Every answer is also held against botocore's
model, by the service itself."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from service import Service

NUMBERS = itertools.count(1)
ALL, ALL6 = "0.0.0.0/0", "::/0"


def refused(call, **given) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**given)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def code(call, **given) -> str:
    return refused(call, **given)[0]


def by(**filters) -> list[dict]:
    """Filters; `_` stands for `-`, `__` for `.`."""
    name = lambda text: text.replace("__", ".").replace("_", "-")
    return [{"Name": name(k), "Values": v if isinstance(v, list) else [v]} for k, v in filters.items()]


def tagged(kind: str, **tags) -> list[dict]:
    return [{"ResourceType": kind, "Tags": [{"Key": k, "Value": v} for k, v in tags.items()]}]


@pytest.fixture(scope="module")
def ec2(service):
    return service.client("ec2")


def clear(ec2, vpc: str) -> None:
    """Deletes a VPC with all that is in it."""
    here = by(vpc_id=vpc)
    for one in ec2.describe_network_interfaces(Filters=here)["NetworkInterfaces"]:
        ec2.delete_network_interface(NetworkInterfaceId=one["NetworkInterfaceId"])
    for one in ec2.describe_subnets(Filters=here)["Subnets"]:
        ec2.delete_subnet(SubnetId=one["SubnetId"])
    for one in ec2.describe_network_acls(Filters=here + by(default="false"))["NetworkAcls"]:
        ec2.delete_network_acl(NetworkAclId=one["NetworkAclId"])
    for one in ec2.describe_route_tables(Filters=here)["RouteTables"]:
        if not any(a["Main"] for a in one["Associations"]):
            ec2.delete_route_table(RouteTableId=one["RouteTableId"])
    for one in ec2.describe_internet_gateways(Filters=by(attachment__vpc_id=vpc))["InternetGateways"]:
        gateway = one["InternetGatewayId"]
        ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
        ec2.delete_internet_gateway(InternetGatewayId=gateway)
    groups = ec2.describe_security_groups(Filters=here)["SecurityGroups"]
    for one in groups:
        for direction in ("Ingress", "Egress"):
            given = one["IpPermissions" if direction == "Ingress" else "IpPermissionsEgress"]
            if given:
                call = getattr(ec2, f"revoke_security_group_{direction.lower()}")
                call(GroupId=one["GroupId"], IpPermissions=given)
    for one in groups:
        if one["GroupName"] != "default":
            ec2.delete_security_group(GroupId=one["GroupId"])
    ec2.delete_vpc(VpcId=vpc)


@pytest.fixture
def vpc(ec2):
    made = ec2.create_vpc(CidrBlock=f"10.{next(NUMBERS)}.0.0/16")["Vpc"]
    yield made
    clear(ec2, made["VpcId"])


def net(vpc: dict) -> str:
    """`10.7` of `10.7.0.0/16`."""
    return vpc["CidrBlock"].rsplit(".", 2)[0]


def subnet(ec2, vpc: dict, number: int = 0, **given) -> dict:
    block = f"{net(vpc)}.{number}.0/24"
    return ec2.create_subnet(VpcId=vpc["VpcId"], CidrBlock=block, **given)["Subnet"]


def group(ec2, vpc: dict, **given) -> str:
    name = f"group-{next(NUMBERS)}"
    made = ec2.create_security_group(VpcId=vpc["VpcId"], GroupName=name, Description="of a test", **given)
    return made["GroupId"]


def test_there_is_a_default_vpc_from_the_start(ec2, service):
    (vpc,) = ec2.describe_vpcs(Filters=by(is_default="true"))["Vpcs"]
    assert vpc["CidrBlock"] == "172.31.0.0/16" and vpc["State"] == "available"
    here = by(vpc_id=vpc["VpcId"])
    subnets = ec2.describe_subnets(Filters=here)["Subnets"]
    zones = [z["ZoneName"] for z in ec2.describe_availability_zones()["AvailabilityZones"]]
    assert [s["AvailabilityZone"] for s in sorted(subnets, key=lambda s: s["CidrBlock"])] == zones[:16]
    for one in subnets:
        assert one["DefaultForAz"] and one["MapPublicIpOnLaunch"]
        assert one["AvailableIpAddressCount"] == 4091
    (table,) = ec2.describe_route_tables(Filters=here)["RouteTables"]
    local, out = table["Routes"]
    assert (local["GatewayId"], local["DestinationCidrBlock"]) == ("local", "172.31.0.0/16")
    assert out["DestinationCidrBlock"] == ALL and out["State"] == "active"
    gateways = ec2.describe_internet_gateways(InternetGatewayIds=[out["GatewayId"]])["InternetGateways"]
    assert gateways[0]["Attachments"] == [{"State": "available", "VpcId": vpc["VpcId"]}]
    (default,) = ec2.describe_security_groups(GroupNames=["default"])["SecurityGroups"]
    pair = default["IpPermissions"][0]["UserIdGroupPairs"]
    assert [p["GroupId"] for p in pair] == [default["GroupId"]] and default["VpcId"] == vpc["VpcId"]
    for name, value in (("enableDnsSupport", True), ("enableDnsHostnames", True)):
        seen = ec2.describe_vpc_attribute(VpcId=vpc["VpcId"], Attribute=name)
        assert seen[name[0].upper() + name[1:]] == {"Value": value}
    said = refused(ec2.create_default_vpc)
    assert said[0] == "DefaultVpcAlreadyExists" and vpc["VpcId"] in said[1]


def test_a_default_vpc_can_be_deleted_and_made_again(ec2):
    (vpc,) = ec2.describe_vpcs(Filters=by(is_default="true"))["Vpcs"]
    clear(ec2, vpc["VpcId"])
    given = {"GroupName": "nowhere", "Description": "d"}
    assert refused(ec2.create_security_group, **given) == ("VPCIdNotSpecified", "No default VPC for this user.")
    assert attributes(ec2)["default-vpc"] == ["none"]
    made = ec2.create_default_vpc()["Vpc"]
    assert made["IsDefault"] and made["VpcId"] != vpc["VpcId"]
    assert attributes(ec2)["default-vpc"] == [made["VpcId"]]
    assert len(ec2.describe_subnets(Filters=by(vpc_id=made["VpcId"], default_for_az="true"))["Subnets"]) > 0


def attributes(ec2, *names: str) -> dict[str, list[str]]:
    seen = ec2.describe_account_attributes(AttributeNames=list(names))["AccountAttributes"]
    return {a["AttributeName"]: [v["AttributeValue"] for v in a["AttributeValues"]] for a in seen}


def test_regions_zones_and_attributes_of_the_account(ec2, service):
    region = service.environment["AWS_REGION"]
    assert [r["RegionName"] for r in ec2.describe_regions()["Regions"]] == [region]
    assert ec2.describe_regions(RegionNames=[region])["Regions"][0]["Endpoint"] == f"ec2.{region}.amazonaws.com"
    assert code(ec2.describe_regions, RegionNames=["mars-north-1"]) == "InvalidParameterValue"
    zones = ec2.describe_availability_zones(Filters=by(region_name=region, state="available"))["AvailabilityZones"]
    first = zones[0]
    assert first["ZoneType"] == "availability-zone" and first["ZoneId"] == "use1-az1"
    assert ec2.describe_availability_zones(ZoneIds=[first["ZoneId"]])["AvailabilityZones"] == [first]
    assert ec2.describe_availability_zones(ZoneNames=[first["ZoneName"]])["AvailabilityZones"] == [first]
    assert code(ec2.describe_availability_zones, ZoneNames=["us-east-1zz"]) == "InvalidParameterValue"
    assert attributes(ec2, "supported-platforms") == {"supported-platforms": ["VPC"]}
    assert code(ec2.describe_account_attributes, AttributeNames=["max-instances"]) == "InvalidParameterValue"


def test_a_vpc_from_its_start_to_its_end(ec2):
    given = {"CidrBlock": "100.68.0.18/18", "TagSpecifications": tagged("vpc", Name="article")}
    vpc = ec2.create_vpc(**given)["Vpc"]
    assert vpc["CidrBlock"] == "100.68.0.0/18" and not vpc["IsDefault"]
    assert vpc["Tags"] == [{"Key": "Name", "Value": "article"}]
    ident = vpc["VpcId"]
    ec2.get_waiter("vpc_available").wait(VpcIds=[ident])
    assert ec2.describe_vpcs(VpcIds=[ident])["Vpcs"] == [vpc]
    for filters in (by(cidr="100.68.*"), by(tag__Name="x"), by(vpc_id=[ident]), by(dhcp_options_id="dopt-*")):
        filters = [{**f, "Name": f["Name"].replace("tag.", "tag:")} for f in filters]
        found = [v["VpcId"] for v in ec2.describe_vpcs(Filters=filters)["Vpcs"]]
        assert (ident in found) == (filters[0]["Values"] != ["x"]), filters

    for name, at_first in (("EnableDnsSupport", True), ("EnableDnsHostnames", False)):
        attribute = name[0].lower() + name[1:]
        seen = lambda: ec2.describe_vpc_attribute(VpcId=ident, Attribute=attribute)[name]["Value"]
        assert seen() is at_first
        ec2.modify_vpc_attribute(VpcId=ident, **{name: {"Value": not at_first}})
        assert seen() is not at_first
    metrics = ec2.describe_vpc_attribute(VpcId=ident, Attribute="enableNetworkAddressUsageMetrics")
    assert metrics["EnableNetworkAddressUsageMetrics"] == {"Value": False}
    both = {"EnableDnsSupport": {"Value": True}, "EnableDnsHostnames": {"Value": True}}
    assert code(ec2.modify_vpc_attribute, VpcId=ident, **both) == "InvalidParameterCombination"

    ec2.delete_vpc(VpcId=ident)
    gone = ("InvalidVpcID.NotFound", f"The vpc ID '{ident}' does not exist")
    assert refused(ec2.delete_vpc, VpcId=ident) == gone
    assert refused(ec2.describe_vpcs, VpcIds=[ident]) == gone
    assert refused(ec2.modify_vpc_attribute, VpcId=ident, EnableDnsSupport={"Value": True}) == gone
    assert refused(ec2.describe_vpc_attribute, VpcId=ident, Attribute="enableDnsSupport") == gone
    said = refused(ec2.describe_vpcs, VpcIds=["net-1"])
    assert said == ("InvalidVpcID.Malformed", 'Invalid id: "net-1" (expecting "vpc-...")')


def test_blocks_of_a_vpc_are_checked(ec2):
    nobodys = ("0.0.0.0/16", "127.0.0.0/16", "169.254.0.0/17", "224.0.0.0/16")
    for block in ("10.0.0.0/15", "10.0.0.0/29", *nobodys):
        said = refused(ec2.create_vpc, CidrBlock=block)
        assert said == ("InvalidVpc.Range", f"The CIDR '{block}' is invalid.")
    said = refused(ec2.create_vpc, CidrBlock="10.0.0.0")
    assert said[0] == "InvalidParameterValue" and said[1].endswith("This is not a valid CIDR block.")
    assert refused(ec2.create_vpc) == ("MissingParameter", "The request must contain the parameter cidrBlock")
    said = refused(ec2.create_vpc, CidrBlock="10.0.0.0/16", InstanceTenancy="dedicated")
    assert said == ("UnsupportedOperation", "Belljar does not serve InstanceTenancy dedicated of CreateVpc.")
    said = refused(ec2.create_vpc, CidrBlock="10.0.0.0/16", Ipv4IpamPoolId="ipam-pool-1")
    assert said == ("UnsupportedOperation", "Belljar does not serve Ipv4IpamPoolId of CreateVpc.")


def test_quota_of_vpcs(ec2):
    made = []
    with pytest.raises(ClientError) as caught:
        for _ in range(6):
            made.append(ec2.create_vpc(CidrBlock="10.0.0.0/24")["Vpc"]["VpcId"])
    assert caught.value.response["Error"]["Code"] == "VpcLimitExceeded"
    assert len(ec2.describe_vpcs()["Vpcs"]) == 5
    for vpc in made:
        ec2.delete_vpc(VpcId=vpc)


def test_further_blocks_of_a_vpc(ec2, vpc):
    ident = vpc["VpcId"]
    made = ec2.associate_vpc_cidr_block(VpcId=ident, CidrBlock="10.200.0.0/24")["CidrBlockAssociation"]
    assert made["CidrBlockState"] == {"State": "associated"}
    associate = ec2.associate_vpc_cidr_block
    assert code(associate, VpcId=ident, CidrBlock="10.200.0.0/25") == "CidrConflict"
    assert code(associate, VpcId=ident) == "MissingParameter"
    both = {"CidrBlock": "10.201.0.0/24", "AmazonProvidedIpv6CidrBlock": True}
    assert code(associate, VpcId=ident, **both) == "InvalidParameterCombination"
    for number in range(201, 204):
        associate(VpcId=ident, CidrBlock=f"10.{number}.0.0/24")
    assert refused(associate, VpcId=ident, CidrBlock="10.210.0.0/24")[0] == "CidrLimitExceeded"
    (seen,) = ec2.describe_vpcs(Filters=by(cidr_block_association__cidr_block="10.200.0.0/24"))["Vpcs"]
    assert [c["CidrBlock"] for c in seen["CidrBlockAssociationSet"]][:2] == [vpc["CidrBlock"], "10.200.0.0/24"]
    inside = ec2.create_subnet(VpcId=ident, CidrBlock="10.200.0.0/25")["Subnet"]["SubnetId"]
    disassociate = ec2.disassociate_vpc_cidr_block
    assert code(disassociate, AssociationId=made["AssociationId"]) == "DependencyViolation"
    ec2.delete_subnet(SubnetId=inside)
    gone = disassociate(AssociationId=made["AssociationId"])
    assert gone["CidrBlockAssociation"]["CidrBlockState"] == {"State": "disassociated"}
    assert code(disassociate, AssociationId=made["AssociationId"]) == "InvalidVpcCidrBlockAssociationID.NotFound"
    first = seen["CidrBlockAssociationSet"][0]["AssociationId"]
    assert code(disassociate, AssociationId=first) == "OperationNotPermitted"


def test_which_blocks_a_vpc_may_have(ec2):
    """VPC User Guide, "VPC CIDR blocks": of one private range, and not what a route leads to."""
    for first, restricted, free in [
        ("10.0.0.0/24", ["192.168.0.0/24", "172.16.0.0/24", "198.19.0.0/24", "10.0.9.0/24"], "10.9.0.0/24"),
        ("172.16.0.0/24", ["172.31.0.0/24", "10.9.0.0/24", "198.19.0.0/24"], "100.64.0.0/24"),
        ("192.168.0.0/24", ["10.9.0.0/24", "172.16.0.0/24"], "192.168.9.0/24"),
        ("100.64.0.0/24", ["10.9.0.0/24", "198.19.0.0/24"], "100.65.0.0/24"),
    ]:
        vpc = ec2.create_vpc(CidrBlock=first)["Vpc"]["VpcId"]
        for block in restricted:
            said = refused(ec2.associate_vpc_cidr_block, VpcId=vpc, CidrBlock=block)
            assert said[0] == "InvalidVpc.Range" and said[1].startswith(f"The CIDR '{block}' is restricted."), first
        ec2.associate_vpc_cidr_block(VpcId=vpc, CidrBlock=free)
        ec2.delete_vpc(VpcId=vpc)
    vpc = ec2.create_vpc(CidrBlock="10.2.0.0/24")["Vpc"]
    other = ec2.create_vpc(CidrBlock="10.3.0.0/24")["Vpc"]["VpcId"]
    peering = ec2.create_vpc_peering_connection(VpcId=vpc["VpcId"], PeerVpcId=other)["VpcPeeringConnection"]
    peer = {"VpcPeeringConnectionId": peering["VpcPeeringConnectionId"]}
    associate = lambda block, of=vpc["VpcId"]: ec2.associate_vpc_cidr_block(VpcId=of, CidrBlock=block)
    assert code(associate, block="10.40.0.0/24") == "OperationNotPermitted", "while it is pending"
    associate("10.41.0.0/24", other)
    ec2.accept_vpc_peering_connection(**peer)
    (table,) = ec2.describe_route_tables(Filters=by(vpc_id=vpc["VpcId"]))["RouteTables"]
    to = {"RouteTableId": table["RouteTableId"], "DestinationCidrBlock": "10.40.0.0/24"}
    ec2.create_route(**to, **peer)
    for block in ("10.40.0.0/24", "10.40.0.0/16"):
        assert code(associate, block=block) == "InvalidVpc.Range"
    associate("10.40.0.0/25")
    ec2.delete_vpc_peering_connection(**peer)
    for ident in (vpc["VpcId"], other):
        ec2.delete_vpc(VpcId=ident)


def test_ipv6_blocks_of_a_vpc_and_a_subnet(ec2):
    vpc = ec2.create_vpc(CidrBlock="10.199.0.0/16", AmazonProvidedIpv6CidrBlock=True)["Vpc"]
    ident = vpc["VpcId"]
    (v6,) = vpc["Ipv6CidrBlockAssociationSet"]
    assert v6["Ipv6CidrBlock"].endswith("/56") and v6["Ipv6CidrBlockState"]["State"] == "associated"
    (acl,) = ec2.describe_network_acls(Filters=by(vpc_id=ident))["NetworkAcls"]
    assert sorted(e["RuleNumber"] for e in acl["Entries"] if e["Egress"]) == [100, 101, 32767, 32768]
    (default,) = ec2.describe_security_groups(Filters=by(vpc_id=ident))["SecurityGroups"]
    assert default["IpPermissionsEgress"][0]["Ipv6Ranges"] == [{"CidrIpv6": ALL6}]
    (table,) = ec2.describe_route_tables(Filters=by(vpc_id=ident))["RouteTables"]
    assert table["Routes"][1]["DestinationIpv6CidrBlock"] == v6["Ipv6CidrBlock"]

    one = subnet(ec2, vpc)
    block = v6["Ipv6CidrBlock"].replace("/56", "/64")
    associate = ec2.associate_subnet_cidr_block
    flag = {"AssignIpv6AddressOnCreation": {"Value": True}}
    assert code(ec2.modify_subnet_attribute, SubnetId=one["SubnetId"], **flag) == "InvalidParameterValue"
    assert code(associate, SubnetId=one["SubnetId"], Ipv6CidrBlock=v6["Ipv6CidrBlock"]) == "InvalidSubnet.Range"
    assert code(associate, SubnetId=one["SubnetId"], Ipv6CidrBlock="2001:db8::/64") == "InvalidSubnet.Range"
    assert code(associate, SubnetId=one["SubnetId"]) == "MissingParameter"
    made = associate(SubnetId=one["SubnetId"], Ipv6CidrBlock=block)["Ipv6CidrBlockAssociation"]
    assert code(associate, SubnetId=one["SubnetId"], Ipv6CidrBlock=block) == "SubnetCidrLimitExceeded"
    other = {"VpcId": ident, "CidrBlock": "10.199.1.0/24", "Ipv6CidrBlock": block}
    assert code(ec2.create_subnet, **other) == "InvalidSubnet.Conflict"
    ec2.modify_subnet_attribute(SubnetId=one["SubnetId"], **flag)

    eni = ec2.create_network_interface(SubnetId=one["SubnetId"])["NetworkInterface"]
    assert len(eni["Ipv6Addresses"]) == 1
    own = {"NetworkInterfaceId": eni["NetworkInterfaceId"]}
    two = ec2.assign_ipv6_addresses(**own, Ipv6AddressCount=2)["AssignedIpv6Addresses"]
    named = block.replace("::/64", "::99")
    assert ec2.assign_ipv6_addresses(**own, Ipv6Addresses=[named])["AssignedIpv6Addresses"] == [named]
    assert code(ec2.assign_ipv6_addresses, **own, Ipv6Addresses=[named]) == "InvalidIPAddress.InUse"
    assert code(ec2.assign_ipv6_addresses, **own, Ipv6Addresses=["2001:db8::1"]) == "InvalidParameterValue"
    for reserved in (block.replace("::/64", "::1"), block.replace("::/64", ":ffff:ffff:ffff:ffff")):
        said = refused(ec2.assign_ipv6_addresses, **own, Ipv6Addresses=[reserved])
        assert said == ("InvalidParameterValue", "Address is in subnet's reserved address range")
    assert code(ec2.assign_ipv6_addresses, **own) == "MissingParameter"
    both = {"Ipv6Addresses": [named], "Ipv6AddressCount": 1}
    assert code(ec2.assign_ipv6_addresses, **own, **both) == "InvalidParameterCombination"
    gone = ec2.unassign_ipv6_addresses(**own, Ipv6Addresses=two)["UnassignedIpv6Addresses"]
    assert sorted(gone) == sorted(two)
    assert code(ec2.unassign_ipv6_addresses, **own, Ipv6Addresses=two) == "InvalidParameterValue"
    (seen,) = ec2.describe_network_interfaces(Filters=by(ipv6_addresses__ipv6_address=named))["NetworkInterfaces"]
    assert len(seen["Ipv6Addresses"]) == 2

    disassociate = ec2.disassociate_subnet_cidr_block
    assert code(disassociate, AssociationId=made["AssociationId"]) == "DependencyViolation"
    ec2.delete_network_interface(**own)
    (seen,) = ec2.describe_subnets(SubnetIds=[one["SubnetId"]])["Subnets"]
    assert seen["Ipv6CidrBlockAssociationSet"] == [made] and seen["AssignIpv6AddressOnCreation"]
    gone = disassociate(AssociationId=made["AssociationId"])["Ipv6CidrBlockAssociation"]
    assert gone["Ipv6CidrBlockState"] == {"State": "disassociated"}
    missing = "InvalidSubnetCidrBlockAssociationID.NotFound"
    assert code(disassociate, AssociationId=made["AssociationId"]) == missing
    eni = ec2.create_network_interface(SubnetId=one["SubnetId"])["NetworkInterface"]["NetworkInterfaceId"]
    assert code(ec2.assign_ipv6_addresses, NetworkInterfaceId=eni, Ipv6AddressCount=1) == "InvalidParameterValue"
    clear(ec2, ident)


def test_subnets_and_their_addresses(ec2, vpc):
    ident, ten = vpc["VpcId"], net(vpc)
    zones = [z["ZoneName"] for z in ec2.describe_availability_zones()["AvailabilityZones"]]
    tags = tagged("subnet", Name="private-1")
    one = subnet(ec2, vpc, 1, AvailabilityZone=zones[-1], TagSpecifications=tags)
    assert one["AvailabilityZone"] == zones[-1] and one["AvailableIpAddressCount"] == 251
    assert one["SubnetArn"].endswith(f":subnet/{one['SubnetId']}") and not one["MapPublicIpOnLaunch"]
    two = subnet(ec2, vpc, 2, AvailabilityZoneId=f"use1-az{len(zones)}")
    assert two["AvailabilityZone"] == zones[-1]
    create = ec2.create_subnet
    said = refused(create, VpcId=ident, CidrBlock=f"{ten}.1.128/25")
    assert said == ("InvalidSubnet.Conflict", f"The CIDR '{ten}.1.128/25' conflicts with another subnet")
    assert code(create, VpcId=ident, CidrBlock="192.168.0.0/24") == "InvalidSubnet.Range"
    assert code(create, VpcId=ident, CidrBlock=f"{ten}.9.0/29") == "InvalidSubnet.Range"
    assert code(create, VpcId=ident, CidrBlock="fly") == "InvalidParameterValue"
    assert code(create, VpcId=ident) == "MissingParameter"
    assert code(create, VpcId="vpc-0", CidrBlock=f"{ten}.9.0/24") == "InvalidVpcID.NotFound"
    said = refused(create, VpcId=ident, CidrBlock=f"{ten}.9.0/24", AvailabilityZone="us-east-1zz")
    assert said[0] == "InvalidParameterValue" and zones[0] in said[1]

    names = lambda **filters: {s["SubnetId"] for s in ec2.describe_subnets(Filters=by(vpc_id=ident, **filters))["Subnets"]}
    assert names(cidr_block=f"{ten}.1.0/24") == {one["SubnetId"]}
    assert names(availability_zone=zones[-1]) == {one["SubnetId"], two["SubnetId"]}
    assert names(tag_key="Name", available_ip_address_count="251") == {one["SubnetId"]}
    ec2.modify_subnet_attribute(SubnetId=two["SubnetId"], MapPublicIpOnLaunch={"Value": True})
    assert names(map_public_ip_on_launch="true") == {two["SubnetId"]}
    both = {"MapPublicIpOnLaunch": {"Value": True}, "AssignIpv6AddressOnCreation": {"Value": False}}
    assert code(ec2.modify_subnet_attribute, SubnetId=two["SubnetId"], **both) == "InvalidParameterCombination"
    said = refused(ec2.modify_subnet_attribute, SubnetId=two["SubnetId"], EnableDns64={"Value": True})
    assert said[1] == "Belljar does not serve EnableDns64 of ModifySubnetAttribute."

    eni = ec2.create_network_interface(SubnetId=two["SubnetId"])["NetworkInterface"]
    assert eni["PrivateIpAddress"] == f"{ten}.2.4", "the first four are AWS's"
    (seen,) = ec2.describe_subnets(SubnetIds=[two["SubnetId"]])["Subnets"]
    assert seen["AvailableIpAddressCount"] == 250
    said = refused(ec2.delete_subnet, SubnetId=two["SubnetId"])
    assert said == ("DependencyViolation", f"The subnet '{two['SubnetId']}' has dependencies and cannot be deleted.")
    said = refused(ec2.delete_vpc, VpcId=ident)
    assert said == ("DependencyViolation", f"The vpc '{ident}' has dependencies and cannot be deleted.")
    ec2.delete_network_interface(NetworkInterfaceId=eni["NetworkInterfaceId"])
    ec2.delete_subnet(SubnetId=two["SubnetId"])
    gone = ("InvalidSubnetID.NotFound", f"The subnet ID '{two['SubnetId']}' does not exist")
    assert refused(ec2.delete_subnet, SubnetId=two["SubnetId"]) == gone
    assert refused(ec2.describe_subnets, SubnetIds=[two["SubnetId"]]) == gone


def test_security_groups(ec2, vpc):
    ident = vpc["VpcId"]
    made = ec2.create_security_group(
        GroupName="web", Description="of web", VpcId=ident, TagSpecifications=tagged("security-group", a="b")
    )
    (seen,) = ec2.describe_security_groups(GroupIds=[made["GroupId"]])["SecurityGroups"]
    assert seen["IpPermissions"] == []
    assert seen["IpPermissionsEgress"] == [
        {"IpProtocol": "-1", "IpRanges": [{"CidrIp": ALL}], "Ipv6Ranges": [], "PrefixListIds": [], "UserIdGroupPairs": []}
    ]
    assert seen["SecurityGroupArn"] == made["SecurityGroupArn"] and seen["Tags"] == made["Tags"]
    create = ec2.create_security_group
    said = refused(create, GroupName="web", Description="d", VpcId=ident)
    assert said == ("InvalidGroup.Duplicate", f"The security group 'web' already exists for VPC '{ident}'")
    for name in ("default", "sg-x", "é", "x" * 256):
        assert code(create, GroupName=name, Description="d", VpcId=ident) == "InvalidParameterValue"
    assert code(create, GroupName="y", Description="<d>", VpcId=ident) == "InvalidParameterValue"
    assert code(create, GroupName="y", Description="", VpcId=ident) == "MissingParameter"
    assert code(create, GroupName="y", Description="d", VpcId="vpc-0") == "InvalidVpcID.NotFound"

    client = group(ec2, vpc)
    allow = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "UserIdGroupPairs": [{"GroupId": client}]}
    ec2.authorize_security_group_ingress(GroupId=made["GroupId"], IpPermissions=[allow])
    said = refused(ec2.delete_security_group, GroupId=client)
    assert said == ("DependencyViolation", f"resource {client} has a dependent object")
    names = lambda **filters: [g["GroupName"] for g in ec2.describe_security_groups(Filters=by(vpc_id=ident, **filters))["SecurityGroups"]]
    assert names(ip_permission__group_id=client) == ["web"]
    assert names(ip_permission__from_port="443", ip_permission__protocol="tcp") == ["web"]
    assert sorted(names(egress__ip_permission__cidr=ALL))[0] == "default" and len(names(group_name="w*")) == 1
    (default,) = ec2.describe_security_groups(Filters=by(vpc_id=ident, group_name="default"))["SecurityGroups"]
    said = refused(ec2.delete_security_group, GroupId=default["GroupId"])
    text = f'the specified group: "{default["GroupId"]}" name: "default" cannot be deleted by a user'
    assert said == ("CannotDelete", text)
    ec2.delete_security_group(GroupId=made["GroupId"])
    assert ec2.delete_security_group(GroupId=client)["GroupId"] == client
    gone = ("InvalidGroup.NotFound", f"The security group '{client}' does not exist")
    assert refused(ec2.delete_security_group, GroupId=client) == gone
    assert refused(ec2.describe_security_groups, GroupIds=[client]) == gone
    assert code(ec2.describe_security_groups, GroupIds=["web"]) == "InvalidGroupId.Malformed"
    assert code(ec2.describe_security_groups, GroupNames=["nobody"]) == "InvalidGroup.NotFound"
    assert code(ec2.delete_security_group) == "MissingParameter"


def test_rules_of_a_security_group(ec2, vpc):
    ident, other = group(ec2, vpc), group(ec2, vpc)
    authorize, revoke = ec2.authorize_security_group_ingress, ec2.revoke_security_group_ingress
    permissions = [
        {
            "IpProtocol": "tcp", "FromPort": 22, "ToPort": 22,
            "IpRanges": [{"CidrIp": "10.0.0.7/8", "Description": "inside"}],
            "Ipv6Ranges": [{"CidrIpv6": ALL6}], "UserIdGroupPairs": [{"GroupId": other}],
        },
        {"IpProtocol": "icmp", "FromPort": 8, "ToPort": -1, "IpRanges": [{"CidrIp": ALL}]},
        {"IpProtocol": "47", "IpRanges": [{"CidrIp": ALL}]},
    ]
    made = authorize(GroupId=ident, IpPermissions=permissions, TagSpecifications=tagged("security-group-rule", a="b"))
    rules = made["SecurityGroupRules"]
    assert len(rules) == 5 and all(r["Tags"] == [{"Key": "a", "Value": "b"}] for r in rules)
    assert rules[0]["CidrIpv4"] == "10.0.0.0/8" and rules[0]["Description"] == "inside"
    assert rules[2]["ReferencedGroupInfo"]["GroupId"] == other and not rules[2]["IsEgress"]
    assert (rules[3]["FromPort"], rules[3]["ToPort"]) == (8, -1)
    (seen,) = ec2.describe_security_groups(GroupIds=[ident])["SecurityGroups"]
    assert [p["IpProtocol"] for p in seen["IpPermissions"]] == ["tcp", "icmp", "47"]
    assert len(seen["IpPermissions"][0]["UserIdGroupPairs"]) == 1

    said = refused(authorize, GroupId=ident, IpPermissions=[permissions[0]])
    text = 'the specified rule "peer: 10.0.0.0/8, TCP, from port: 22, to port: 22, ALLOW" already exists'
    assert said == ("InvalidPermission.Duplicate", text)
    twice = {"IpProtocol": "tcp", "FromPort": 9, "ToPort": 9, "IpRanges": [{"CidrIp": "9.0.0.0/8"}, {"CidrIp": "9.1.0.0/8"}]}
    said = refused(authorize, GroupId=ident, IpPermissions=[twice])
    assert said == ("InvalidParameterValue", "The same permission must not appear multiple times")
    flat = {"IpProtocol": "udp", "FromPort": 53, "ToPort": 53, "CidrIp": "1.2.3.4/32"}
    assert len(authorize(GroupId=ident, **flat)["SecurityGroupRules"]) == 1
    assert code(authorize, GroupId=ident, **flat) == "InvalidPermission.Duplicate"
    assert code(authorize, GroupId=ident, IpPermissions=permissions, **flat) == "InvalidParameterCombination"
    assert code(authorize, GroupId=ident, SourceSecurityGroupName="nobody") == "InvalidGroup.NotFound"
    for wrong, expected in [
        ({"IpProtocol": "tcp", "IpRanges": [{"CidrIp": ALL}]}, "InvalidParameterValue"),
        ({"IpProtocol": "tcp", "FromPort": 2, "ToPort": 1, "IpRanges": [{"CidrIp": ALL}]}, "InvalidParameterValue"),
        ({"IpProtocol": "tcp", "FromPort": 0, "ToPort": 65536, "IpRanges": [{"CidrIp": ALL}]}, "InvalidParameterValue"),
        ({"IpProtocol": "-1", "IpRanges": [{"CidrIp": "10.0.0/8"}]}, "InvalidParameterValue"),
        ({"IpProtocol": "-1", "IpRanges": [{"CidrIp": ALL6}]}, "InvalidParameterValue"),
        ({"IpProtocol": "fly", "IpRanges": [{"CidrIp": ALL}]}, "InvalidParameterValue"),
        ({"IpProtocol": "-1"}, "MissingParameter"),
        ({"IpProtocol": "-1", "PrefixListIds": [{"PrefixListId": "pl-0"}]}, "InvalidPrefixListID.NotFound"),
        ({"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": "sg-0"}]}, "InvalidGroup.NotFound"),
        ({"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": other, "UserId": "1"}]}, "UnsupportedOperation"),
        ({"IpProtocol": "-1", "IpRanges": [{"CidrIp": "9.0.0.0/8", "Description": "<"}]}, "InvalidParameterValue"),
    ]:
        assert code(authorize, GroupId=ident, IpPermissions=[wrong]) == expected, wrong
    default = ec2.describe_security_groups(GroupNames=["default"])["SecurityGroups"][0]["GroupId"]
    foreign = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": default}]}
    said = refused(authorize, GroupId=ident, IpPermissions=[foreign])
    text = "You have specified two resources that belong to different networks."
    assert said == ("InvalidGroup.NotFound", text)

    describe = ec2.describe_security_group_rules
    listed = describe(Filters=by(group_id=ident))["SecurityGroupRules"]
    assert len(listed) == 7 and sum(r["IsEgress"] for r in listed) == 1
    assert len(describe(Filters=[*by(group_id=ident), {"Name": "tag:a", "Values": ["b"]}])["SecurityGroupRules"]) == 5
    first = rules[0]["SecurityGroupRuleId"]
    assert describe(SecurityGroupRuleIds=[first])["SecurityGroupRules"] == [rules[0]]
    missing = "InvalidSecurityGroupRuleId.NotFound"
    assert code(describe, SecurityGroupRuleIds=["sgr-0"]) == missing

    change = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 81, "CidrIpv4": "10.1.0.0/16", "Description": "new"}
    modify = ec2.modify_security_group_rules
    modify(GroupId=ident, SecurityGroupRules=[{"SecurityGroupRuleId": first, "SecurityGroupRule": change}])
    (seen,) = describe(SecurityGroupRuleIds=[first])["SecurityGroupRules"]
    assert (seen["CidrIpv4"], seen["ToPort"], seen["Description"]) == ("10.1.0.0/16", 81, "new")
    two = {**change, "CidrIpv6": ALL6}
    update = lambda rule, to: [{"SecurityGroupRuleId": rule, "SecurityGroupRule": to}]
    assert code(modify, GroupId=ident, SecurityGroupRules=update(first, two)) == "InvalidParameterValue"
    assert code(modify, GroupId=ident, SecurityGroupRules=update("sgr-0", change)) == missing
    again = {"IpProtocol": "udp", "FromPort": 53, "ToPort": 53, "CidrIpv4": "1.2.3.4/32"}
    assert code(modify, GroupId=ident, SecurityGroupRules=update(first, again)) == "InvalidPermission.Duplicate"
    second = authorize(GroupId=ident, IpProtocol="tcp", FromPort=1, ToPort=1, CidrIp="10.1.0.0/16")
    second = second["SecurityGroupRules"][0]["SecurityGroupRuleId"]
    there = {"IpProtocol": "tcp", "FromPort": 1, "ToPort": 1, "CidrIpv4": "10.1.0.0/16"}
    modify(GroupId=ident, SecurityGroupRules=update(first, there) + update(second, change))
    assert describe(SecurityGroupRuleIds=[first])["SecurityGroupRules"][0]["ToPort"] == 1, "they changed places"
    revoke(GroupId=ident, SecurityGroupRuleIds=[second])
    to_group = {"IpProtocol": "-1", "ReferencedGroupId": other}
    modify(GroupId=ident, SecurityGroupRules=update(first, to_group))
    assert describe(SecurityGroupRuleIds=[first])["SecurityGroupRules"][0]["FromPort"] == -1

    describe_ingress = ec2.update_security_group_rule_descriptions_ingress
    describe_ingress(GroupId=ident, SecurityGroupRuleDescriptions=[{"SecurityGroupRuleId": first, "Description": "x"}])
    by_rule = {"IpProtocol": "47", "IpRanges": [{"CidrIp": ALL, "Description": "gre"}]}
    describe_ingress(GroupId=ident, IpPermissions=[by_rule])
    texts = {r["SecurityGroupRuleId"]: r.get("Description") for r in describe(Filters=by(group_id=ident))["SecurityGroupRules"]}
    assert texts[first] == "x" and "gre" in texts.values()
    by_rule["IpProtocol"] = "48"
    assert code(describe_ingress, GroupId=ident, IpPermissions=[by_rule]) == "InvalidPermission.NotFound"

    gone = revoke(GroupId=ident, SecurityGroupRuleIds=[first])["RevokedSecurityGroupRules"]
    assert gone[0]["ReferencedGroupId"] == other and gone[0]["SecurityGroupRuleId"] == first
    assert code(revoke, GroupId=ident, SecurityGroupRuleIds=[first]) == missing
    assert ec2.describe_tags(Filters=by(resource_id=first))["Tags"] == []
    revoke(GroupId=ident, IpPermissions=permissions[1:])
    (own,) = authorize(GroupId=default, IpPermissions=permissions[1:2])["SecurityGroupRules"]
    known = revoke(GroupId=default, IpPermissions=permissions[1:])
    assert [r["SecurityGroupRuleId"] for r in known["RevokedSecurityGroupRules"]] == [own["SecurityGroupRuleId"]]
    assert [p["IpProtocol"] for p in known["UnknownIpPermissions"]] == ["47"], "no error in the default VPC"
    said = refused(revoke, GroupId=ident, IpPermissions=permissions[1:])
    text = "The specified rule does not exist in this security group."
    assert said == ("InvalidPermission.NotFound", text)
    assert revoke(GroupId=ident, **flat)["Return"]
    assert code(revoke, GroupId=ident) == "MissingParameter"
    both = {"SecurityGroupRuleIds": ["sgr-0"], "IpPermissions": permissions}
    assert code(revoke, GroupId=ident, **both) == "InvalidParameterCombination"


def test_egress_rules_and_the_weight_of_rules(ec2, vpc):
    ident = group(ec2, vpc)
    out = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": ALL}]}]
    assert len(ec2.revoke_security_group_egress(GroupId=ident, IpPermissions=out)["RevokedSecurityGroupRules"]) == 1
    (seen,) = ec2.describe_security_groups(GroupIds=[ident])["SecurityGroups"]
    assert seen["IpPermissionsEgress"] == []
    out[0]["IpRanges"][0]["Description"] = "all"
    ec2.authorize_security_group_egress(GroupId=ident, IpPermissions=out)
    out[0]["IpRanges"][0]["Description"] = "everything"
    ec2.update_security_group_rule_descriptions_egress(GroupId=ident, IpPermissions=out)
    (rule,) = ec2.describe_security_group_rules(Filters=by(group_id=ident))["SecurityGroupRules"]
    assert rule["IsEgress"] and rule["Description"] == "everything"
    assert code(ec2.revoke_security_group_ingress, GroupId=ident, SecurityGroupRuleIds=[rule["SecurityGroupRuleId"]])

    many = lambda first, count, v6=False: [{
        "IpProtocol": "tcp", "FromPort": 1, "ToPort": 1,
        **({"Ipv6Ranges": [{"CidrIpv6": f"2001:db8::{n:x}/128"} for n in range(first, first + count)]} if v6 else
           {"IpRanges": [{"CidrIp": f"10.0.0.{n}/32"} for n in range(first, first + count)]}),
    }]
    authorize = ec2.authorize_security_group_ingress
    authorize(GroupId=ident, IpPermissions=many(0, 60))
    said = refused(authorize, GroupId=ident, IpPermissions=many(60, 1))
    text = "The maximum number of rules per security group has been reached."
    assert said == ("RulesPerSecurityGroupLimitExceeded", text)
    authorize(GroupId=ident, IpPermissions=many(1, 60, v6=True))
    (seen,) = ec2.describe_security_groups(GroupIds=[ident])["SecurityGroups"]
    assert len(seen["IpPermissions"][0]["IpRanges"]) == len(seen["IpPermissions"][0]["Ipv6Ranges"]) == 60


def test_network_acls(ec2, vpc):
    ident = vpc["VpcId"]
    one = subnet(ec2, vpc)["SubnetId"]
    (default,) = ec2.describe_network_acls(Filters=by(vpc_id=ident))["NetworkAcls"]
    assert default["IsDefault"] and [e["RuleAction"] for e in default["Entries"]] == ["allow", "deny"] * 2
    assert [a["SubnetId"] for a in default["Associations"]] == [one]
    acl = ec2.create_network_acl(VpcId=ident, TagSpecifications=tagged("network-acl", a="b"))["NetworkAcl"]
    own = {"NetworkAclId": acl["NetworkAclId"]}
    assert [(e["RuleNumber"], e["RuleAction"]) for e in acl["Entries"]] == [(32767, "deny")] * 2

    create, replace, delete = ec2.create_network_acl_entry, ec2.replace_network_acl_entry, ec2.delete_network_acl_entry
    entry = {
        **own, "RuleNumber": 100, "Egress": False, "Protocol": "6", "RuleAction": "allow",
        "CidrBlock": "100.68.0.18/18", "PortRange": {"From": 1024, "To": 65535},
    }
    create(**entry)
    said = refused(create, **entry)
    text = "The network acl entry identified by 100 already exists."
    assert said == ("NetworkAclEntryAlreadyExists", text)
    icmp = {"Protocol": "58", "Ipv6CidrBlock": ALL6, "IcmpTypeCode": {"Type": 128, "Code": -1}}
    create(**own, **icmp, RuleNumber=100, Egress=True, RuleAction="deny")
    (seen,) = ec2.describe_network_acls(**{"NetworkAclIds": [acl["NetworkAclId"]]})["NetworkAcls"]
    first = next(e for e in seen["Entries"] if e["RuleNumber"] == 100 and not e["Egress"])
    assert first["CidrBlock"] == "100.68.0.0/18" and first["PortRange"] == {"From": 1024, "To": 65535}
    second = next(e for e in seen["Entries"] if e["RuleNumber"] == 100 and e["Egress"])
    assert second["IcmpTypeCode"] == {"Type": 128, "Code": -1} and second["RuleAction"] == "deny"
    for change, expected in [
        ({"RuleNumber": 0}, "InvalidParameterValue"),
        ({"RuleNumber": 32767}, "InvalidParameterValue"),
        ({"RuleNumber": 5, "Protocol": "17", "PortRange": {"From": 9, "To": 1}}, "InvalidParameterValue"),
        ({"RuleNumber": 5, "Protocol": "fly"}, "InvalidParameterValue"),
        ({"RuleNumber": 5, "Protocol": "1"}, "InvalidParameterValue"),
        ({"RuleNumber": 5, "CidrBlock": "x"}, "InvalidParameterValue"),
        ({"RuleNumber": 5, "Ipv6CidrBlock": ALL6}, "InvalidParameterCombination"),
        ({"RuleNumber": 5, "NetworkAclId": "acl-0"}, "InvalidNetworkAclID.NotFound"),
    ]:
        assert code(create, **{**entry, **change}) == expected, change
    v4_of_v6 = {**entry, "RuleNumber": 5, "Protocol": "58", "IcmpTypeCode": {"Type": 1, "Code": 1}}
    assert code(create, **v4_of_v6) == "InvalidParameterValue"
    replace(**{**entry, "RuleAction": "deny", "Protocol": "-1"})
    found = lambda **filters: len(ec2.describe_network_acls(Filters=by(vpc_id=ident, **filters))["NetworkAcls"])
    assert found(entry__cidr="100.68.0.0/18", entry__rule_number="100") == 1 and found(entry__port_range__from="1024") == 0
    assert found(association__subnet_id=one, default="true") == 1
    missing = ("InvalidNetworkAclEntry.NotFound", "The network acl entry identified by 7 does not exist")
    assert refused(replace, **{**entry, "RuleNumber": 7}) == missing
    assert refused(delete, **own, RuleNumber=7, Egress=False) == missing
    delete(**own, RuleNumber=100, Egress=False)
    for number in range(1, 20):
        create(**{**entry, "RuleNumber": number})
    assert code(create, **{**entry, "RuleNumber": 20}) == "NetworkAclEntryLimitExceeded"

    association = default["Associations"][0]["NetworkAclAssociationId"]
    new = ec2.replace_network_acl_association(AssociationId=association, **own)["NewAssociationId"]
    assert code(ec2.replace_network_acl_association, AssociationId=association, **own) == "InvalidAssociationID.NotFound"
    said = refused(ec2.delete_network_acl, **own)
    assert said == ("DependencyViolation", f"The networkAcl '{acl['NetworkAclId']}' has dependencies and cannot be deleted.")
    other = ec2.describe_network_acls(Filters=[f for f in by(default="true")])["NetworkAcls"]
    foreign = next(a["NetworkAclId"] for a in other if a["VpcId"] != ident)
    assert code(ec2.replace_network_acl_association, AssociationId=new, NetworkAclId=foreign) == "InvalidParameterValue"
    ec2.replace_network_acl_association(AssociationId=new, NetworkAclId=default["NetworkAclId"])
    ec2.delete_network_acl(**own)
    gone = f"The networkAcl ID '{acl['NetworkAclId']}' does not exist"
    assert refused(ec2.delete_network_acl, **own) == ("InvalidNetworkAclID.NotFound", gone)
    said = refused(ec2.delete_network_acl, NetworkAclId=default["NetworkAclId"])
    assert said == ("InvalidParameterValue", f"cannot delete default network ACL {default['NetworkAclId']}")


def test_route_tables_and_their_associations(ec2, vpc):
    ident = vpc["VpcId"]
    (main,) = ec2.describe_route_tables(Filters=by(vpc_id=ident))["RouteTables"]
    (of_vpc,) = main["Associations"]
    assert of_vpc["Main"] and of_vpc["AssociationState"] == {"State": "associated"}
    table = ec2.create_route_table(VpcId=ident, TagSpecifications=tagged("route-table", a="b"))["RouteTable"]
    own, one = {"RouteTableId": table["RouteTableId"]}, subnet(ec2, vpc)["SubnetId"]
    assert [r["GatewayId"] for r in table["Routes"]] == ["local"] and table["Associations"] == []
    made = ec2.associate_route_table(**own, SubnetId=one)
    assert made["AssociationState"] == {"State": "associated"}
    assert ec2.associate_route_table(**own, SubnetId=one)["AssociationId"] == made["AssociationId"]
    (seen,) = ec2.describe_route_tables(Filters=by(association__subnet_id=one))["RouteTables"]
    assert seen["RouteTableId"] == table["RouteTableId"] and not seen["Associations"][0]["Main"]
    said = refused(ec2.associate_route_table, RouteTableId=main["RouteTableId"], SubnetId=one)
    assert said[0] == "Resource.AlreadyAssociated"
    assert code(ec2.associate_route_table, **own) == "MissingParameter"
    assert code(ec2.associate_route_table, **own, SubnetId="subnet-0") == "InvalidSubnetID.NotFound"
    foreign = ec2.describe_subnets(Filters=by(default_for_az="true"))["Subnets"][0]["SubnetId"]
    assert code(ec2.associate_route_table, **own, SubnetId=foreign) == "InvalidParameterValue"
    said = refused(ec2.delete_route_table, **own)
    text = f"The routeTable '{table['RouteTableId']}' has dependencies and cannot be deleted."
    assert said == ("DependencyViolation", text)

    replace = ec2.replace_route_table_association
    new = replace(AssociationId=made["AssociationId"], RouteTableId=main["RouteTableId"])["NewAssociationId"]
    assert code(replace, AssociationId=made["AssociationId"], **own) == "InvalidAssociationID.NotFound"
    ec2.disassociate_route_table(AssociationId=new)
    assert code(ec2.disassociate_route_table, AssociationId=new) == "InvalidAssociationID.NotFound"
    said = refused(ec2.disassociate_route_table, AssociationId=of_vpc["RouteTableAssociationId"])
    assert said[0] == "InvalidParameterValue" and said[1].startswith("cannot disassociate the main")
    new = replace(AssociationId=of_vpc["RouteTableAssociationId"], **own)["NewAssociationId"]
    (seen,) = ec2.describe_route_tables(Filters=by(vpc_id=ident, association__main="true"))["RouteTables"]
    assert seen["RouteTableId"] == table["RouteTableId"]
    replace(AssociationId=new, RouteTableId=main["RouteTableId"])
    ec2.delete_route_table(**own)
    gone = f"The routeTable ID '{table['RouteTableId']}' does not exist"
    assert refused(ec2.delete_route_table, **own) == ("InvalidRouteTableID.NotFound", gone)
    assert refused(ec2.describe_route_tables, RouteTableIds=[table["RouteTableId"]])[1] == gone


def test_routes_and_the_internet_gateway(ec2, vpc):
    ident, ten = vpc["VpcId"], net(vpc)
    gateway = ec2.create_internet_gateway(TagSpecifications=tagged("internet-gateway", a="b"))["InternetGateway"]
    own = {"InternetGatewayId": gateway["InternetGatewayId"]}
    assert gateway["Attachments"] == []
    table = ec2.create_route_table(VpcId=ident)["RouteTable"]["RouteTableId"]
    create, replace, delete = ec2.create_route, ec2.replace_route, ec2.delete_route
    out = {"RouteTableId": table, "DestinationCidrBlock": ALL}
    said = refused(create, **out, GatewayId=own["InternetGatewayId"])
    text = f"route table {table} and network gateway {own['InternetGatewayId']} belong to different networks"
    assert said == ("InvalidParameterValue", text)
    assert code(ec2.detach_internet_gateway, **own, VpcId=ident) == "Gateway.NotAttached"
    ec2.attach_internet_gateway(**own, VpcId=ident)
    ec2.get_waiter("internet_gateway_exists").wait(InternetGatewayIds=[own["InternetGatewayId"]])
    said = refused(ec2.attach_internet_gateway, **own, VpcId=ident)
    text = f"resource {own['InternetGatewayId']} is already attached to network {ident}"
    assert said == ("Resource.AlreadyAssociated", text)
    other = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    said = refused(ec2.attach_internet_gateway, InternetGatewayId=other, VpcId=ident)
    assert said == ("InvalidParameterValue", f"Network {ident} already has an internet gateway attached")
    ec2.delete_internet_gateway(InternetGatewayId=other)
    gone = f"The internetGateway ID '{other}' does not exist"
    assert refused(ec2.delete_internet_gateway, InternetGatewayId=other) == ("InvalidInternetGatewayID.NotFound", gone)
    assert code(ec2.delete_internet_gateway, **own) == "DependencyViolation"

    assert create(**out, GatewayId=own["InternetGatewayId"])["Return"]
    said = refused(create, **out, GatewayId=own["InternetGatewayId"])
    assert said == ("RouteAlreadyExists", "The route identified by 0.0.0.0/0 already exists.")
    create(RouteTableId=table, DestinationIpv6CidrBlock=ALL6, GatewayId=own["InternetGatewayId"])
    block = {"RouteTableId": table, "DestinationCidrBlock": f"{ten}.0.0/16"}
    said = refused(create, **block, GatewayId=own["InternetGatewayId"])
    assert said[0] == "InvalidParameterValue" and "equal to or more specific than" in said[1]
    one = subnet(ec2, vpc)
    eni = ec2.create_network_interface(SubnetId=one["SubnetId"])["NetworkInterface"]["NetworkInterfaceId"]
    to_eni = {"RouteTableId": table, "NetworkInterfaceId": eni}
    create(**to_eni, DestinationCidrBlock=one["CidrBlock"])
    said = refused(create, **to_eni, DestinationCidrBlock=f"{ten}.0.0/25")
    assert said == ("InvalidParameterValue", "Route destination doesn't match any subnet CIDR blocks.")
    assert code(create, **to_eni, DestinationCidrBlock="169.254.169.0/24") == "InvalidParameterValue"
    assert code(create, **out) == "MissingParameter"
    assert code(create, **to_eni) == "MissingParameter"
    assert code(create, **to_eni, GatewayId="igw-0", DestinationCidrBlock="1.0.0.0/8") == "InvalidParameterCombination"
    assert code(create, **to_eni, DestinationCidrBlock=ALL, DestinationIpv6CidrBlock=ALL6) == "InvalidParameterCombination"
    assert code(create, **to_eni, DestinationPrefixListId="pl-0") == "InvalidPrefixListID.NotFound"
    for target, value, expected in [
        ("GatewayId", "igw-0", "InvalidInternetGatewayID.NotFound"),
        ("GatewayId", "vpce-0", "InvalidParameterValue"),
        ("NatGatewayId", "nat-0", "InvalidNatGatewayID.NotFound"),
        ("NetworkInterfaceId", "eni-0", "InvalidNetworkInterfaceID.NotFound"),
        ("VpcPeeringConnectionId", "pcx-0", "InvalidVpcPeeringConnectionID.NotFound"),
        ("TransitGatewayId", "tgw-0", "UnsupportedOperation"),
    ]:
        given = {"RouteTableId": table, "DestinationCidrBlock": "1.0.0.0/8", target: value}
        assert code(create, **given) == expected, target

    replace(**out, NetworkInterfaceId=eni)
    routes = lambda: {
        r.get("DestinationCidrBlock", r.get("DestinationIpv6CidrBlock")): r
        for r in ec2.describe_route_tables(RouteTableIds=[table])["RouteTables"][0]["Routes"]
    }
    assert routes()[ALL]["NetworkInterfaceId"] == eni and routes()[ALL]["Origin"] == "CreateRoute"
    said = refused(replace, RouteTableId=table, DestinationCidrBlock="1.0.0.0/8", NetworkInterfaceId=eni)
    text = "There is no route defined for '1.0.0.0/8' in the route table. Use CreateRoute instead."
    assert said == ("InvalidParameterValue", text)
    said = refused(delete, RouteTableId=table, DestinationCidrBlock="1.0.0.0/8")
    assert said == ("InvalidRoute.NotFound", f"no route with destination-cidr-block 1.0.0.0/8 in route table {table}")
    assert refused(delete, **block)[1] == f"cannot remove local route {ten}.0.0/16 in route table {table}"

    # A target that goes leaves a blackhole.
    ec2.delete_network_interface(NetworkInterfaceId=eni)
    assert routes()[ALL]["State"] == "blackhole"
    delete(**out)
    assert ALL not in routes()
    ec2.detach_internet_gateway(**own, VpcId=ident)
    assert routes()[ALL6]["State"] == "blackhole"
    delete(RouteTableId=table, DestinationIpv6CidrBlock=ALL6)
    ec2.delete_internet_gateway(**own)


def test_network_interfaces(ec2, vpc):
    one, guard = subnet(ec2, vpc), group(ec2, vpc)
    ten, at = net(vpc), {"SubnetId": one["SubnetId"]}
    create = ec2.create_network_interface
    eni = create(
        **at, Description="of a test", Groups=[guard], PrivateIpAddress=f"{ten}.0.10",
        SecondaryPrivateIpAddressCount=2, TagSpecifications=tagged("network-interface", a="b"),
    )["NetworkInterface"]
    own = {"NetworkInterfaceId": eni["NetworkInterfaceId"]}
    assert [a["PrivateIpAddress"] for a in eni["PrivateIpAddresses"]] == [f"{ten}.0.{n}" for n in (10, 4, 5)]
    assert eni["Groups"][0]["GroupId"] == guard and eni["Status"] == "available" and eni["SourceDestCheck"]
    assert eni["MacAddress"].startswith("02:") and eni["TagSet"] == [{"Key": "a", "Value": "b"}]
    twice = create(**at, Groups=[guard, guard])["NetworkInterface"]
    assert [g["GroupId"] for g in twice["Groups"]] == [guard], "an interface has a group once"
    ec2.delete_network_interface(NetworkInterfaceId=twice["NetworkInterfaceId"])
    default = create(**at)["NetworkInterface"]
    assert default["Groups"][0]["GroupName"] == "default" and default["InterfaceType"] == "interface"
    several = create(**at, PrivateIpAddresses=[
        {"PrivateIpAddress": f"{ten}.0.21"}, {"PrivateIpAddress": f"{ten}.0.20", "Primary": True},
    ])["NetworkInterface"]
    assert several["PrivateIpAddress"] == f"{ten}.0.20"
    found = lambda **filters: [i["NetworkInterfaceId"] for i in ec2.describe_network_interfaces(Filters=by(**filters))["NetworkInterfaces"]]
    assert found(addresses__private_ip_address=f"{ten}.0.5") == [eni["NetworkInterfaceId"]]
    assert found(group_id=guard, status="available", subnet_id=one["SubnetId"]) == [eni["NetworkInterfaceId"]]
    for wrong, expected in [
        ({"PrivateIpAddress": f"{ten}.0.10"}, "InvalidIPAddress.InUse"),
        ({"PrivateIpAddress": f"{ten}.0.3"}, "InvalidParameterValue"),
        ({"PrivateIpAddress": f"{ten}.0.255"}, "InvalidParameterValue"),
        ({"PrivateIpAddress": f"{ten}.1.9"}, "InvalidParameterValue"),
        ({"PrivateIpAddress": "x"}, "InvalidParameterValue"),
        ({"PrivateIpAddresses": [{"PrivateIpAddress": f"{ten}.0.30"}]}, "InvalidParameterValue"),
        ({"Groups": ["sg-0"]}, "InvalidGroup.NotFound"),
        ({"Groups": [guard] * 6}, "SecurityGroupsPerInterfaceLimitExceeded"),
        ({"SecondaryPrivateIpAddressCount": 50}, "PrivateIpAddressLimitExceeded"),
        ({"Ipv6AddressCount": 1}, "InvalidParameterValue"),
        ({"InterfaceType": "efa"}, "UnsupportedOperation"),
        ({"SubnetId": "subnet-0"}, "InvalidSubnetID.NotFound"),
    ]:
        assert code(create, **{**at, **wrong}) == expected, wrong
    foreign = ec2.describe_security_groups(GroupNames=["default"])["SecurityGroups"][0]["GroupId"]
    said = refused(create, **at, Groups=[foreign])
    text = f"Security group {foreign} and subnet {one['SubnetId']} belong to different networks."
    assert said == ("InvalidParameter", text)

    assign, unassign = ec2.assign_private_ip_addresses, ec2.unassign_private_ip_addresses
    given = assign(**own, SecondaryPrivateIpAddressCount=1)["AssignedPrivateIpAddresses"]
    assert [g["PrivateIpAddress"] for g in given] == [f"{ten}.0.7"]
    assert code(assign, **own, PrivateIpAddresses=[f"{ten}.0.21"]) == "InvalidIPAddress.InUse"
    assign(**own, PrivateIpAddresses=[f"{ten}.0.21"], AllowReassignment=True)
    assert len(ec2.describe_network_interfaces(NetworkInterfaceIds=[several["NetworkInterfaceId"]])["NetworkInterfaces"][0]["PrivateIpAddresses"]) == 1
    assert code(assign, **own, PrivateIpAddresses=[f"{ten}.0.20"], AllowReassignment=True) == "InvalidIPAddress.InUse"
    assert code(assign, **own) == "MissingParameter"
    both = {"PrivateIpAddresses": [f"{ten}.0.40"], "SecondaryPrivateIpAddressCount": 1}
    assert code(assign, **own, **both) == "InvalidParameterCombination"
    unassign(**own, PrivateIpAddresses=[f"{ten}.0.7"])
    said = refused(unassign, **own, PrivateIpAddresses=[f"{ten}.0.7"])
    assert said[1] == f"Some of [{ten}.0.7] are not assigned to interface {eni['NetworkInterfaceId']}"
    assert code(unassign, **own, PrivateIpAddresses=[f"{ten}.0.10"]) == "InvalidParameterValue", "the primary one"

    modify, attribute = ec2.modify_network_interface_attribute, ec2.describe_network_interface_attribute
    modify(**own, Description={"Value": "changed"})
    modify(**own, SourceDestCheck={"Value": False})
    modify(**own, Groups=[default["Groups"][0]["GroupId"], guard, guard])
    assert attribute(**own, Attribute="description")["Description"] == {"Value": "changed"}
    assert attribute(**own, Attribute="sourceDestCheck")["SourceDestCheck"] == {"Value": False}
    assert len(attribute(**own, Attribute="groupSet")["Groups"]) == 2
    assert "Attachment" not in attribute(**own, Attribute="attachment")
    assert code(attribute, **own) == "MissingParameter"
    assert code(modify, **own) == "MissingParameter"
    assert code(modify, **own, Groups=["sg-0"]) == "InvalidGroup.NotFound"
    two = {"Description": {"Value": "x"}, "SourceDestCheck": {"Value": True}}
    assert code(modify, **own, **two) == "InvalidParameterCombination"
    said = refused(modify, **own, Attachment={"AttachmentId": "eni-attach-1", "DeleteOnTermination": True})
    assert said[1] == "Belljar does not serve Attachment of ModifyNetworkInterfaceAttribute."
    said = refused(ec2.attach_network_interface, **own, InstanceId="i-1", DeviceIndex=1)
    assert said == ("UnsupportedOperation", "Belljar does not serve the operation AttachNetworkInterface of EC2.")

    assert code(ec2.delete_security_group, GroupId=guard) == "DependencyViolation"
    ec2.delete_network_interface(**own)
    gone = f"The networkInterface ID '{eni['NetworkInterfaceId']}' does not exist"
    assert refused(ec2.delete_network_interface, **own) == ("InvalidNetworkInterfaceID.NotFound", gone)
    assert refused(modify, **own, Description={"Value": "x"})[1] == gone


def test_a_subnet_runs_out_of_addresses(ec2, vpc):
    small = ec2.create_subnet(VpcId=vpc["VpcId"], CidrBlock=f"{net(vpc)}.0.0/28")["Subnet"]
    assert small["AvailableIpAddressCount"] == 11
    ec2.create_network_interface(SubnetId=small["SubnetId"], SecondaryPrivateIpAddressCount=10)
    said = refused(ec2.create_network_interface, SubnetId=small["SubnetId"])
    text = "The specified subnet does not have enough free addresses to satisfy the request."
    assert said == ("InsufficientFreeAddressesInSubnet", text)
    (seen,) = ec2.describe_subnets(SubnetIds=[small["SubnetId"]])["Subnets"]
    assert seen["AvailableIpAddressCount"] == 0


def test_a_request_with_a_token_is_carried_out_once(ec2, vpc):
    ident, one = vpc["VpcId"], subnet(ec2, vpc)["SubnetId"]
    other = subnet(ec2, vpc, 1)["SubnetId"]
    for call, given, different, name, ident_of in [
        (ec2.create_route_table, {"VpcId": ident}, {"TagSpecifications": tagged("route-table", a="b")}, "RouteTable", "RouteTableId"),
        (ec2.create_network_acl, {"VpcId": ident}, {"TagSpecifications": tagged("network-acl", a="b")}, "NetworkAcl", "NetworkAclId"),
        (ec2.create_network_interface, {"SubnetId": one}, {"SubnetId": other}, "NetworkInterface", "NetworkInterfaceId"),
    ]:
        token = f"token-{next(NUMBERS)}"
        first, again = (call(**given, ClientToken=token) for _ in range(2))
        assert first[name][ident_of] == again[name][ident_of] and first["ClientToken"] == token
        assert call(**given)[name][ident_of] != first[name][ident_of]
        assert code(call, **{**given, **different}, ClientToken=token) == "IdempotentParameterMismatch"


def test_tags(ec2, vpc):
    ident, one = vpc["VpcId"], subnet(ec2, vpc)["SubnetId"]
    ec2.create_tags(Resources=[ident, one], Tags=[{"Key": "Team", "Value": "ml"}, {"Key": "Empty", "Value": ""}])
    ec2.create_tags(Resources=[one], Tags=[{"Key": "Team", "Value": "data"}])
    (seen,) = ec2.describe_subnets(Filters=[{"Name": "tag:Team", "Values": ["d*"]}])["Subnets"]
    assert seen["SubnetId"] == one and {"Key": "Empty", "Value": ""} in seen["Tags"]
    listed = ec2.describe_tags(Filters=by(resource_id=[ident, one], key="Team"))["Tags"]
    assert {(t["ResourceType"], t["Value"]) for t in listed} == {("vpc", "ml"), ("subnet", "data")}
    assert ec2.describe_tags(Filters=[{"Name": "tag:Team", "Values": ["ml"]}])["Tags"] == [t for t in listed if t["Value"] == "ml"]
    pages = ec2.get_paginator("describe_tags").paginate(Filters=by(resource_id=[ident, one]), PaginationConfig={"PageSize": 5})
    assert sum(len(page["Tags"]) for page in pages) == 4
    ec2.delete_tags(Resources=[ident], Tags=[{"Key": "Team", "Value": "other"}, {"Key": "Empty"}])
    (seen,) = ec2.describe_vpcs(VpcIds=[ident])["Vpcs"]
    assert seen["Tags"] == [{"Key": "Team", "Value": "ml"}]
    ec2.delete_tags(Resources=[ident, one])
    assert ec2.describe_tags(Filters=by(resource_id=[ident, one]))["Tags"] == []

    create, tag = ec2.create_tags, lambda key, value="": [{"Key": key, "Value": value}]
    text = "Tag keys starting with 'aws:' are reserved for internal use"
    assert refused(create, Resources=[ident], Tags=tag("aws:x")) == ("InvalidParameterValue", text)
    assert code(create, Resources=[ident], Tags=tag("k" * 129)) == "InvalidParameterValue"
    assert code(create, Resources=[ident], Tags=tag("k", "v" * 257)) == "InvalidParameterValue"
    assert code(create, Resources=[ident], Tags=tag("k") * 2) == "InvalidParameterValue"
    many = [{"Key": f"k{n}", "Value": ""} for n in range(51)]
    assert code(create, Resources=[ident], Tags=many) == "TagLimitExceeded"
    assert code(create, Resources=["vpc-0"], Tags=tag("k")) == "InvalidVpcID.NotFound"
    assert refused(create, Resources=["x-1"], Tags=tag("k")) == ("InvalidID", "The ID 'x-1' is not valid")
    said = refused(ec2.create_security_group, GroupName="t", Description="d", VpcId=ident, TagSpecifications=tagged("vpc", a="b"))
    assert said == ("InvalidParameterValue", "'vpc' is not a valid taggable resource type for this operation.")


def test_pages_filters_and_dry_runs(ec2, vpc):
    ident = vpc["VpcId"]
    made = {subnet(ec2, vpc, number)["SubnetId"] for number in range(7)}
    first = ec2.describe_subnets(Filters=by(vpc_id=ident), MaxResults=5)
    assert len(first["Subnets"]) == 5
    rest = ec2.describe_subnets(Filters=by(vpc_id=ident), MaxResults=5, NextToken=first["NextToken"])
    assert {s["SubnetId"] for s in first["Subnets"] + rest["Subnets"]} == made and "NextToken" not in rest
    said = refused(ec2.describe_subnets, MaxResults=5, SubnetIds=list(made))
    assert said == ("InvalidParameterCombination", "The parameter subnetIds cannot be used with the parameter maxResults")
    assert code(ec2.describe_subnets, MaxResults=5, NextToken="~") == "InvalidNextToken"
    said = refused(ec2.describe_subnets, Filters=by(colour="red"))
    assert said == ("InvalidParameterValue", "The filter 'colour' is invalid")

    one = next(iter(made))
    assert len(ec2.describe_subnets(SubnetIds=[one, one])["Subnets"]) == 1
    for most in (0, -1):
        assert code(ec2.describe_vpc_endpoints, MaxResults=most) == "InvalidMaxResults"
    for call, member, expected in [
        (ec2.describe_route_tables, "RouteTableIds", "InvalidRouteTableId.Malformed"),
        (ec2.describe_network_interfaces, "NetworkInterfaceIds", "InvalidNetworkInterfaceId.Malformed"),
        (ec2.describe_internet_gateways, "InternetGatewayIds", "InvalidInternetGatewayId.Malformed"),
        (ec2.describe_network_acls, "NetworkAclIds", "InvalidNetworkAclId.Malformed"),
        (ec2.describe_nat_gateways, "NatGatewayIds", "NatGatewayMalformed"),
        (ec2.describe_subnets, "SubnetIds", "InvalidSubnetID.Malformed"),
    ]:
        assert code(call, **{member: ["x"]}) == expected
    attached = [{"Name": "attachment.vpc-id", "Values": [ident]}]
    assert ec2.describe_vpn_gateways(Filters=attached)["VpnGateways"] == []
    said = refused(ec2.describe_vpn_gateways, VpnGatewayIds=["vgw-0"])
    assert said == ("InvalidVpnGatewayID.NotFound", "The vpnGateway ID 'vgw-0' does not exist")
    none = lambda call, what, name: call(Filters=[{"Name": name, "Values": ["x"]}])[what] == []
    for name in ("outpost-arn", "enable-dns64", "private-dns-name-options-on-launch.hostname-type"):
        assert none(ec2.describe_subnets, "Subnets", name), name
    for name in ("attachment.instance-id", "attachment.device-index", "attachment.delete-on-termination"):
        assert none(ec2.describe_network_interfaces, "NetworkInterfaces", name), name
    for name in ("association.gateway-id", "route.transit-gateway-id", "route.instance-id"):
        assert none(ec2.describe_route_tables, "RouteTables", name), name
    (seen,) = ec2.describe_subnets(SubnetIds=[one])["Subnets"]
    assert seen["PrivateDnsNameOptionsOnLaunch"]["HostnameType"] == "ip-name"

    dry = ("DryRunOperation", "Request would have succeeded, but DryRun flag is set.")
    assert refused(ec2.create_vpc, CidrBlock="10.0.0.0/16", DryRun=True) == dry
    assert refused(ec2.describe_vpcs, DryRun=True) == dry
    assert refused(ec2.delete_subnet, SubnetId=next(iter(made)), DryRun=True) == dry
    with pytest.raises(ClientError) as caught:
        ec2.delete_vpc(VpcId=ident, DryRun=True)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 412
    said = refused(ec2.run_instances, MinCount=1, MaxCount=1)
    assert said == ("UnsupportedOperation", "Belljar does not serve the operation RunInstances of EC2.")


def test_the_network_is_there_after_a_restart(belljar, folder):
    service = Service(belljar, state=folder / "state").start()
    ec2 = service.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]
    given = {"SubnetId": subnet(ec2, vpc)["SubnetId"], "Description": "kept"}
    eni = ec2.create_network_interface(**given)["NetworkInterface"]
    ec2.create_tags(Resources=[vpc["VpcId"]], Tags=[{"Key": "k", "Value": "v"}])
    seen = lambda ec2: [
        ec2.describe_vpcs()["Vpcs"],
        ec2.describe_route_tables()["RouteTables"],
        ec2.describe_network_interfaces()["NetworkInterfaces"],
    ]
    before = seen(ec2)
    assert before[2] == [eni]
    service.kill()
    assert seen(service.start().client("ec2")) == before
    service.stop()


def test_the_command_line_does_the_same(ec2, service):
    program = Path(sys.executable).with_name("aws")
    env = {**service.environment, "PATH": os.environ["PATH"], "HOME": str(service.belljar.folder), "AWS_PAGER": ""}
    run = lambda *words: subprocess.run([program, "ec2", *words], env=env, capture_output=True, text=True, timeout=60)

    def aws(*words: str):
        done = run(*words)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else None

    tags = "ResourceType=vpc,Tags=[{Key=Name,Value=by hand}]"
    vpc = aws("create-vpc", "--cidr-block", "10.99.0.0/16", "--tag-specifications", tags)["Vpc"]
    assert vpc["Tags"] == [{"Key": "Name", "Value": "by hand"}]
    made = group(ec2, vpc)
    flat = ["--protocol", "tcp", "--port", "443", "--cidr", "10.0.0.0/8"]
    assert aws("authorize-security-group-ingress", "--group-id", made, *flat)["Return"]
    vpc = vpc["VpcId"]
    (seen,) = ec2.describe_security_groups(Filters=by(vpc_id=vpc, ip_permission__cidr="10.*"))["SecurityGroups"]
    assert seen["GroupId"] == made
    done = run("delete-vpc", "--vpc-id", vpc)
    assert done.returncode != 0 and "(DependencyViolation)" in done.stderr
    clear(ec2, vpc)
