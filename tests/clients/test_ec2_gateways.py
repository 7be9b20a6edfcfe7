"""EC2: VPC endpoints, prefix lists, peering, DHCP options, elastic addresses, NAT gateways, flow
logs and Network Insights, by boto3. Every answer is also held against
botocore's model, by the service itself."""

import contextlib
import itertools
import json

import pytest
from botocore.exceptions import ClientError

NUMBERS = itertools.count(1)
REGION = "us-east-1"
SIX = ["sagemaker.api", "sagemaker.runtime", "ecr.api", "ecr.dkr", "s3", "logs"]
"""The endpoints of the article's example."""


def refused(call, **given) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**given)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def service_name(short: str) -> str:
    return f"com.amazonaws.{REGION}.{short}"


def tags(kind: str, **pairs: str) -> list[dict]:
    return [{"ResourceType": kind, "Tags": [{"Key": k, "Value": v} for k, v in pairs.items()]}]


@pytest.fixture(scope="module")
def ec2(service):
    return service.client("ec2")


class Net:
    """A VPC with two subnets in two zones, each with its own route table, and a group."""

    def __init__(self, ec2, number: int):
        self.ec2 = ec2
        self.vpc = ec2.create_vpc(CidrBlock=f"10.{number}.0.0/16")["Vpc"]["VpcId"]
        zones = [z["ZoneName"] for z in ec2.describe_availability_zones()["AvailabilityZones"]]
        self.subnets = [
            ec2.create_subnet(VpcId=self.vpc, CidrBlock=f"10.{number}.{n}.0/24", AvailabilityZone=zones[n])[
                "Subnet"
            ]["SubnetId"]
            for n in (0, 1)
        ]
        self.zones = zones[:2]
        self.tables = []
        for subnet in self.subnets:
            table = ec2.create_route_table(VpcId=self.vpc)["RouteTable"]["RouteTableId"]
            ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)
            self.tables.append(table)
        self.group = ec2.create_security_group(VpcId=self.vpc, GroupName="of-tests", Description="of tests")["GroupId"]

    def both_attributes(self) -> None:
        self.ec2.modify_vpc_attribute(VpcId=self.vpc, EnableDnsSupport={"Value": True})
        self.ec2.modify_vpc_attribute(VpcId=self.vpc, EnableDnsHostnames={"Value": True})

    def routes(self, place: int) -> list[dict]:
        table = self.ec2.describe_route_tables(RouteTableIds=[self.tables[place]])["RouteTables"][0]
        return [r for r in table["Routes"] if r.get("GatewayId") != "local"]

    def interface(self, place: int = 0, **given) -> str:
        made = self.ec2.create_network_interface(SubnetId=self.subnets[place], Groups=[self.group], **given)
        return made["NetworkInterface"]["NetworkInterfaceId"]

    def remove(self) -> None:
        ec2, of = self.ec2, [{"Name": "vpc-id", "Values": [self.vpc]}]
        endpoints = [e["VpcEndpointId"] for e in ec2.describe_vpc_endpoints(Filters=of)["VpcEndpoints"]]
        if endpoints:
            assert ec2.delete_vpc_endpoints(VpcEndpointIds=endpoints)["Unsuccessful"] == []
        for nat in ec2.describe_nat_gateways(Filters=of)["NatGateways"]:
            ec2.delete_nat_gateway(NatGatewayId=nat["NatGatewayId"])
        for eni in ec2.describe_network_interfaces(Filters=of)["NetworkInterfaces"]:
            ec2.delete_network_interface(NetworkInterfaceId=eni["NetworkInterfaceId"])
        attached = [{"Name": "attachment.vpc-id", "Values": [self.vpc]}]
        for gateway in ec2.describe_internet_gateways(Filters=attached)["InternetGateways"]:
            named = {"InternetGatewayId": gateway["InternetGatewayId"]}
            ec2.detach_internet_gateway(VpcId=self.vpc, **named)
            ec2.delete_internet_gateway(**named)
        for subnet in self.subnets:
            ec2.delete_subnet(SubnetId=subnet)
        for table in self.tables:
            ec2.delete_route_table(RouteTableId=table)
        ec2.delete_security_group(GroupId=self.group)
        ec2.delete_vpc(VpcId=self.vpc)


@pytest.fixture
def net(ec2):
    net = Net(ec2, next(NUMBERS))
    yield net
    net.remove()


@contextlib.contextmanager
def an_address(ec2, **given):
    made = ec2.allocate_address(Domain="vpc", **given)
    yield made
    ec2.release_address(AllocationId=made["AllocationId"])


def internet(net: Net) -> str:
    gateway = net.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    net.ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=net.vpc)
    return gateway


# Endpoints.


def test_the_articles_dns_attributes_and_six_endpoints(ec2, net):
    net.both_attributes()
    for attribute in ("enableDnsSupport", "enableDnsHostnames"):
        seen = ec2.describe_vpc_attribute(VpcId=net.vpc, Attribute=attribute)
        assert seen[attribute[0].upper() + attribute[1:]] == {"Value": True}
    made = {}
    for short in SIX:
        given = {"VpcId": net.vpc, "ServiceName": service_name(short)}
        if short == "s3":
            given |= {"VpcEndpointType": "Gateway", "RouteTableIds": net.tables}
        else:
            given |= {
                "VpcEndpointType": "Interface",
                "SubnetIds": net.subnets,
                "SecurityGroupIds": [net.group],
                "PrivateDnsEnabled": True,
            }
        made[short] = ec2.create_vpc_endpoint(**given)["VpcEndpoint"]
    of = [{"Name": "vpc-id", "Values": [net.vpc]}]
    seen = {e["ServiceName"]: e for e in ec2.describe_vpc_endpoints(Filters=of)["VpcEndpoints"]}
    assert set(seen) == {service_name(short) for short in SIX}
    assert all(e["State"] == "available" for e in seen.values())

    s3 = seen[service_name("s3")]
    assert s3["VpcEndpointType"] == "Gateway" and s3["RouteTableIds"] == sorted(net.tables)
    [listed] = ec2.describe_prefix_lists()["PrefixLists"]
    assert listed["PrefixListName"] == service_name("s3")
    for place in (0, 1):
        [route] = net.routes(place)
        assert (route["DestinationPrefixListId"], route["GatewayId"]) == (
            listed["PrefixListId"],
            s3["VpcEndpointId"],
        )

    api = seen[service_name("sagemaker.api")]
    assert api["Groups"] == [{"GroupId": net.group, "GroupName": "of-tests"}]
    assert api["SubnetIds"] == sorted(net.subnets) and api["PrivateDnsEnabled"]
    names = [e["DnsName"] for e in api["DnsEntries"]]
    assert names[-1] == f"api.sagemaker.{REGION}.amazonaws.com" and len(names) == 4
    assert all(n.startswith(api["VpcEndpointId"]) and n.endswith("vpce.amazonaws.com") for n in names[:3])
    enis = ec2.describe_network_interfaces(NetworkInterfaceIds=api["NetworkInterfaceIds"])["NetworkInterfaces"]
    assert {e["AvailabilityZone"] for e in enis} == set(net.zones)
    assert all(e["RequesterManaged"] and e["InterfaceType"] == "vpc_endpoint" for e in enis)
    assert all(e["Description"] == f"VPC Endpoint Interface {api['VpcEndpointId']}" for e in enis)
    assert made["sagemaker.api"] == api


def test_private_dns_needs_both_attributes_and_is_one_services_once(ec2, net):
    given = {
        "VpcId": net.vpc,
        "ServiceName": service_name("logs"),
        "VpcEndpointType": "Interface",
        "SubnetIds": net.subnets[:1],
        "PrivateDnsEnabled": True,
    }
    assert refused(ec2.create_vpc_endpoint, **given) == (
        "InvalidParameter",
        "Enabling private DNS requires both enableDnsSupport and enableDnsHostnames VPC attributes "
        f"set to true for {net.vpc}",
    )
    net.both_attributes()
    first = ec2.create_vpc_endpoint(**given)["VpcEndpoint"]
    default = ec2.describe_security_groups(
        Filters=[{"Name": "vpc-id", "Values": [net.vpc]}, {"Name": "group-name", "Values": ["default"]}]
    )["SecurityGroups"][0]["GroupId"]
    assert [g["GroupId"] for g in first["Groups"]] == [default]
    code, text = refused(ec2.create_vpc_endpoint, **given)
    assert code == "InvalidParameter" and f"conflicting DNS domain for logs.{REGION}.amazonaws.com" in text
    second = ec2.create_vpc_endpoint(**{**given, "PrivateDnsEnabled": False})["VpcEndpoint"]
    modify = {"VpcEndpointId": second["VpcEndpointId"], "PrivateDnsEnabled": True}
    assert refused(ec2.modify_vpc_endpoint, **modify)[0] == "InvalidParameter"
    ec2.modify_vpc_endpoint(VpcEndpointId=first["VpcEndpointId"], PrivateDnsEnabled=False)
    ec2.modify_vpc_endpoint(**modify)


def test_a_gateway_endpoint_is_in_its_tables(ec2, net):
    given = {"VpcId": net.vpc, "ServiceName": service_name("s3")}
    made = ec2.create_vpc_endpoint(**given, RouteTableIds=net.tables[:1], ClientToken="once")["VpcEndpoint"]
    again = ec2.create_vpc_endpoint(**given, RouteTableIds=net.tables[:1], ClientToken="once")["VpcEndpoint"]
    assert again["VpcEndpointId"] == made["VpcEndpointId"]
    endpoint = made["VpcEndpointId"]
    code, text = refused(ec2.create_vpc_endpoint, **given, RouteTableIds=net.tables[:1])
    assert code == "RouteAlreadyExists" and text.startswith(f"route table {net.tables[0]} already has a route with")
    # All of it, or nothing.
    mixed = {"AddRouteTableIds": [net.tables[1], "rtb-0"], "RemoveRouteTableIds": net.tables[:1]}
    assert refused(ec2.modify_vpc_endpoint, VpcEndpointId=endpoint, **mixed)[0] == "InvalidRouteTableID.NotFound"
    assert (len(net.routes(0)), len(net.routes(1))) == (1, 0)
    ec2.modify_vpc_endpoint(
        VpcEndpointId=endpoint, AddRouteTableIds=net.tables[1:], RemoveRouteTableIds=net.tables[:1]
    )
    assert (len(net.routes(0)), len(net.routes(1))) == (0, 1)
    policy = {
        "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*"}]
    }
    ec2.modify_vpc_endpoint(VpcEndpointId=endpoint, PolicyDocument=json.dumps(policy))

    def seen() -> dict:
        return json.loads(ec2.describe_vpc_endpoints(VpcEndpointIds=[endpoint])["VpcEndpoints"][0]["PolicyDocument"])

    assert seen() == policy
    for bad in ("{", "{}", json.dumps(policy) + " " * 20_480):
        wrong = refused(ec2.modify_vpc_endpoint, VpcEndpointId=endpoint, PolicyDocument=bad)
        assert wrong[0] == "InvalidPolicyDocument", bad[:10]
    ec2.modify_vpc_endpoint(VpcEndpointId=endpoint, ResetPolicy=True)
    assert seen()["Statement"][0]["Action"] == "*"
    gone = ec2.delete_vpc_endpoints(VpcEndpointIds=[endpoint, "vpce-0"])["Unsuccessful"]
    assert [(g["ResourceId"], g["Error"]["Code"]) for g in gone] == [("vpce-0", "InvalidVpcEndpoint.NotFound")]
    assert net.routes(1) == []
    assert refused(ec2.describe_vpc_endpoints, VpcEndpointIds=[endpoint]) == (
        "InvalidVpcEndpointId.NotFound",
        f"The Vpc Endpoint Id '{endpoint}' does not exist",
    )


def test_an_interface_endpoint_has_an_interface_in_each_zone(ec2, net):
    endpoint = ec2.create_vpc_endpoint(
        VpcId=net.vpc,
        ServiceName=service_name("sts"),
        VpcEndpointType="Interface",
        SubnetIds=net.subnets[:1],
        SecurityGroupIds=[net.group],
        TagSpecifications=tags("vpc-endpoint", Environment="prod"),
    )["VpcEndpoint"]
    named = {"VpcEndpointId": endpoint["VpcEndpointId"]}

    def now() -> dict:
        return ec2.describe_vpc_endpoints(VpcEndpointIds=[endpoint["VpcEndpointId"]])["VpcEndpoints"][0]

    ec2.modify_vpc_endpoint(**named, AddSubnetIds=net.subnets[1:])
    assert len(now()["NetworkInterfaceIds"]) == 2
    other = ec2.create_security_group(VpcId=net.vpc, GroupName="other", Description="other")["GroupId"]
    ec2.modify_vpc_endpoint(**named, AddSecurityGroupIds=[other], RemoveSecurityGroupIds=[net.group])
    enis = ec2.describe_network_interfaces(NetworkInterfaceIds=now()["NetworkInterfaceIds"])["NetworkInterfaces"]
    assert all([g["GroupId"] for g in e["Groups"]] == [other] for e in enis)
    last = refused(ec2.modify_vpc_endpoint, **named, RemoveSecurityGroupIds=[other])
    assert last[0] == "InvalidParameter"
    assert refused(ec2.delete_security_group, GroupId=other)[0] == "DependencyViolation"
    assert refused(ec2.delete_subnet, SubnetId=net.subnets[0])[0] == "DependencyViolation"
    held = refused(ec2.delete_network_interface, NetworkInterfaceId=enis[0]["NetworkInterfaceId"])
    assert held[0] != "", held
    ec2.modify_vpc_endpoint(**named, RemoveSubnetIds=net.subnets[:1])
    assert now()["SubnetIds"] == net.subnets[1:] and len(now()["NetworkInterfaceIds"]) == 1
    assert refused(ec2.modify_vpc_endpoint, **named, AddRouteTableIds=net.tables)[0] == "InvalidParameter"
    assert now()["Tags"] == [{"Key": "Environment", "Value": "prod"}]
    assert ec2.describe_vpc_endpoints(Filters=[{"Name": "tag:Environment", "Values": ["prod"]}])["VpcEndpoints"] == [now()]
    ec2.delete_vpc_endpoints(VpcEndpointIds=[endpoint["VpcEndpointId"]])
    ec2.delete_security_group(GroupId=other)


def test_one_subnet_of_a_zone_and_services_that_there_are(ec2, net):
    block = ec2.describe_subnets(SubnetIds=net.subnets[:1])["Subnets"][0]["CidrBlock"].replace(".0.0/", ".9.0/")
    twin = ec2.create_subnet(VpcId=net.vpc, CidrBlock=block, AvailabilityZone=net.zones[0])["Subnet"]["SubnetId"]
    given = {"VpcId": net.vpc, "VpcEndpointType": "Interface", "SubnetIds": [net.subnets[0], twin]}
    code, text = refused(ec2.create_vpc_endpoint, **given, ServiceName=service_name("ecr.api"))
    assert (code, text) == (
        "DuplicateSubnetsInSameZone",
        f"Found another VPC endpoint subnet in the availability zone of {twin}",
    )
    ec2.delete_subnet(SubnetId=twin)
    assert refused(ec2.create_vpc_endpoint, **given, ServiceName=service_name("kms")) == (
        "InvalidServiceName",
        f"The Vpc Endpoint Service '{service_name('kms')}' does not exist",
    )
    assert refused(ec2.create_vpc_endpoint, VpcId=net.vpc, ServiceName=service_name("logs")) == (
        "InvalidParameter",
        "Endpoint type (Gateway) does not match available service types ([Interface]).",
    )
    on_s3 = {"VpcId": net.vpc, "ServiceName": service_name("s3"), "SubnetIds": net.subnets}
    assert "SubnetIds" in refused(ec2.create_vpc_endpoint, **on_s3)[1]
    both = {**given, "SubnetIds": net.subnets, "IpAddressType": "dualstack", "ServiceName": service_name("logs")}
    assert "dualstack" in refused(ec2.create_vpc_endpoint, **both)[1]
    dry = {**given, "SubnetIds": net.subnets, "ServiceName": service_name("logs"), "DryRun": True}
    assert refused(ec2.create_vpc_endpoint, **dry)[0] == "DryRunOperation"

    services = ec2.describe_vpc_endpoint_services()
    assert services["ServiceNames"] == sorted(service_name(s) for s in [*SIX, "sts"])
    of_s3 = [d for d in services["ServiceDetails"] if d["ServiceName"] == service_name("s3")]
    assert [d["ServiceType"][0]["ServiceType"] for d in of_s3] == ["Gateway", "Interface"]
    gateways = ec2.describe_vpc_endpoint_services(Filters=[{"Name": "service-type", "Values": ["Gateway"]}])
    assert gateways["ServiceNames"] == [service_name("s3")]
    assert refused(ec2.describe_vpc_endpoint_services, ServiceNames=["x"])[0] == "InvalidServiceName"


# Prefix lists.


def test_prefix_lists_have_versions(ec2, net):
    def entries(*blocks: str) -> list[dict]:
        return [{"Cidr": block, "Description": f"of {block}"} for block in blocks]

    made = ec2.create_managed_prefix_list(
        PrefixListName="offices", Entries=entries("10.0.0.0/8"), MaxEntries=2, AddressFamily="IPv4"
    )["PrefixList"]
    name = {"PrefixListId": made["PrefixListId"]}
    assert (made["State"], made["Version"]) == ("create-complete", 1)
    modified = ec2.modify_managed_prefix_list(
        **name, CurrentVersion=1, AddEntries=entries("192.168.1.7/16"), RemoveEntries=[{"Cidr": "10.0.0.0/8"}]
    )["PrefixList"]
    assert (modified["State"], modified["Version"]) == ("modify-complete", 2)
    assert ec2.get_managed_prefix_list_entries(**name)["Entries"] == [
        {"Cidr": "192.168.0.0/16", "Description": "of 192.168.1.7/16"}
    ]
    assert ec2.get_managed_prefix_list_entries(**name, TargetVersion=1)["Entries"] == entries("10.0.0.0/8")
    stale = refused(ec2.modify_managed_prefix_list, **name, CurrentVersion=1, AddEntries=entries("10.1.0.0/16"))
    assert stale == ("PrefixListVersionMismatch", "The prefix list has the incorrect version number.")
    many = entries("10.1.0.0/16", "10.2.0.0/16")
    full = refused(ec2.modify_managed_prefix_list, **name, CurrentVersion=2, AddEntries=many)
    assert full[0] == "PrefixListMaxEntriesExceeded"
    restored = ec2.restore_managed_prefix_list_version(**name, PreviousVersion=1, CurrentVersion=2)["PrefixList"]
    assert (restored["State"], restored["Version"]) == ("restore-complete", 3)
    assert ec2.get_managed_prefix_list_entries(**name)["Entries"] == entries("10.0.0.0/8")

    permission = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "PrefixListIds": [name]}
    ec2.authorize_security_group_egress(GroupId=net.group, IpPermissions=[permission])
    assert refused(ec2.delete_managed_prefix_list, **name)[0] == "DependencyViolation"
    used = ec2.get_managed_prefix_list_associations(**name)["PrefixListAssociations"]
    assert [u["ResourceId"] for u in used] == [net.group]
    ec2.revoke_security_group_egress(GroupId=net.group, IpPermissions=[permission])
    assert ec2.delete_managed_prefix_list(**name)["PrefixList"]["State"] == "delete-complete"
    assert refused(ec2.get_managed_prefix_list_entries, **name)[0] == "InvalidPrefixListID.NotFound"


def test_what_is_wrong_with_prefix_lists(ec2):
    base = {"PrefixListName": "x", "MaxEntries": 1, "AddressFamily": "IPv4"}
    for change in (
        {"PrefixListName": "com.amazonaws.x"},
        {"MaxEntries": 1001},
        {"AddressFamily": "IPv5"},
        {"Entries": [{"Cidr": "fd00::/8"}]},
        {"Entries": [{"Cidr": "nowhere"}]},
    ):
        assert refused(ec2.create_managed_prefix_list, **{**base, **change})[0] == "InvalidParameterValue", change
    own = ec2.describe_managed_prefix_lists(Filters=[{"Name": "owner-id", "Values": ["AWS"]}])["PrefixLists"]
    assert [p["PrefixListName"] for p in own] == [service_name("s3")]
    name = {"PrefixListId": own[0]["PrefixListId"]}
    assert refused(ec2.delete_managed_prefix_list, **name)[0] == "UnauthorizedOperation"
    assert len(ec2.get_managed_prefix_list_entries(**name)["Entries"]) == 3


# Peering, DHCP.


def test_peering_is_asked_for_and_answered(ec2, net):
    other = ec2.create_vpc(CidrBlock="10.250.0.0/16")["Vpc"]["VpcId"]
    between = {"VpcId": net.vpc, "PeerVpcId": other}
    asked = ec2.create_vpc_peering_connection(**between)["VpcPeeringConnection"]
    name = {"VpcPeeringConnectionId": asked["VpcPeeringConnectionId"]}
    assert asked["Status"]["Code"] == "pending-acceptance" and asked["AccepterVpcInfo"]["VpcId"] == other
    assert "CidrBlock" in asked["RequesterVpcInfo"] and "CidrBlock" not in asked["AccepterVpcInfo"]
    assert refused(ec2.create_vpc_peering_connection, **between)[0] == "VpcPeeringConnectionAlreadyExists"
    option = {"AccepterPeeringConnectionOptions": {"AllowDnsResolutionFromRemoteVpc": True}}
    early = refused(ec2.modify_vpc_peering_connection_options, **name, **option)
    assert early == (
        "OperationNotPermitted",
        f"Peering {asked['VpcPeeringConnectionId']} is not active. "
        "Peering options can be added only to active peerings.",
    )
    assert ec2.accept_vpc_peering_connection(**name)["VpcPeeringConnection"]["Status"]["Code"] == "active"
    assert refused(ec2.reject_vpc_peering_connection, **name)[0] == "InvalidStateTransition"
    told = ec2.modify_vpc_peering_connection_options(**name, **option)
    assert told["AccepterPeeringConnectionOptions"]["AllowDnsResolutionFromRemoteVpc"]
    ec2.create_route(RouteTableId=net.tables[0], DestinationCidrBlock="10.250.0.0/16", **name)
    assert net.routes(0)[0]["State"] == "active"
    taken = refused(ec2.associate_vpc_cidr_block, VpcId=net.vpc, CidrBlock="10.250.0.0/20")
    assert taken[0] == "InvalidVpc.Range"
    here, there = (
        ec2.create_security_group(VpcId=vpc, GroupName="peer", Description="peer")["GroupId"] for vpc in (net.vpc, other)
    )
    rule = [{"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": there}]}]
    ec2.authorize_security_group_ingress(GroupId=here, IpPermissions=rule)
    ec2.delete_vpc_peering_connection(**name)
    # What names a group that is out of reach by now is stale, and can be taken away.
    assert refused(ec2.authorize_security_group_egress, GroupId=here, IpPermissions=rule)[0] == "InvalidGroup.NotFound"
    ec2.revoke_security_group_ingress(GroupId=here, IpPermissions=rule)
    assert ec2.describe_security_groups(GroupIds=[here])["SecurityGroups"][0]["IpPermissions"] == []
    for group in (here, there):
        ec2.delete_security_group(GroupId=group)
    of = [{"Name": "requester-vpc-info.vpc-id", "Values": [net.vpc]}, {"Name": "status-code", "Values": ["deleted"]}]
    [gone] = ec2.describe_vpc_peering_connections(Filters=of)["VpcPeeringConnections"]
    assert gone["VpcPeeringConnectionId"] == asked["VpcPeeringConnectionId"]
    assert net.routes(0)[0]["State"] == "blackhole"
    again = ec2.create_vpc_peering_connection(**between)["VpcPeeringConnection"]["VpcPeeringConnectionId"]
    ec2.reject_vpc_peering_connection(VpcPeeringConnectionId=again)
    ec2.delete_vpc(VpcId=other)

    twin = ec2.create_vpc(CidrBlock=ec2.describe_vpcs(VpcIds=[net.vpc])["Vpcs"][0]["CidrBlock"])["Vpc"]["VpcId"]
    code, text = refused(ec2.create_vpc_peering_connection, VpcId=net.vpc, PeerVpcId=twin)
    assert text == "Failed due to incorrect VPC-ID, Account ID, or overlapping CIDR range"
    ec2.delete_vpc(VpcId=twin)
    for change in ({"PeerOwnerId": "210987654321"}, {"PeerRegion": "eu-west-1"}):
        assert refused(ec2.create_vpc_peering_connection, **between, **change)[0] == "UnsupportedOperation"
    assert refused(ec2.create_vpc_peering_connection, **between)[0] == "InvalidVpcID.NotFound"


def test_dhcp_options(ec2, net):
    options = [
        {"Key": "domain-name", "Values": ["corp.example.com"]},
        {"Key": "domain-name-servers", "Values": ["AmazonProvidedDNS"]},
    ]
    made = ec2.create_dhcp_options(DhcpConfigurations=options)["DhcpOptions"]
    name = {"DhcpOptionsId": made["DhcpOptionsId"]}
    shown = [{"Key": o["Key"], "Values": [{"Value": v} for v in o["Values"]]} for o in options]
    assert made["DhcpConfigurations"] == shown
    ec2.associate_dhcp_options(**name, VpcId=net.vpc)
    assert ec2.describe_vpcs(VpcIds=[net.vpc])["Vpcs"][0]["DhcpOptionsId"] == made["DhcpOptionsId"]
    assert refused(ec2.delete_dhcp_options, **name) == (
        "DependencyViolation",
        f"The dhcpOptions '{made['DhcpOptionsId']}' has dependencies and cannot be deleted.",
    )
    found = ec2.describe_dhcp_options(Filters=[{"Name": "value", "Values": ["corp.*"]}])["DhcpOptions"]
    assert found == [made]
    ec2.associate_dhcp_options(DhcpOptionsId="default", VpcId=net.vpc)
    ec2.delete_dhcp_options(**name)
    assert refused(ec2.associate_dhcp_options, **name, VpcId=net.vpc)[0] == "InvalidDhcpOptionID.NotFound"
    for key, values in (("colour", ["red"]), ("ntp-servers", ["x"]), ("domain-name", [])):
        wrong = refused(ec2.create_dhcp_options, DhcpConfigurations=[{"Key": key, "Values": values}])
        assert wrong[0] == "InvalidParameterValue", key


def test_a_new_vpc_has_the_regions_own_dhcp_options(ec2, net):
    own = ec2.describe_vpcs(VpcIds=[net.vpc])["Vpcs"][0]["DhcpOptionsId"]
    (region,) = ec2.describe_dhcp_options(DhcpOptionsIds=[own])["DhcpOptions"]
    says = [{"Key": o["Key"], "Values": [v["Value"] for v in o["Values"]]} for o in region["DhcpConfigurations"]]
    same = [ec2.create_dhcp_options(DhcpConfigurations=says)["DhcpOptions"]["DhcpOptionsId"] for _ in range(6)]
    made = ec2.create_vpc(CidrBlock="10.77.0.0/16")["Vpc"]
    assert made["DhcpOptionsId"] == own, "and not one of a user's that says the same"
    ec2.delete_vpc(VpcId=made["VpcId"])
    for name in same:
        ec2.delete_dhcp_options(DhcpOptionsId=name)


# Addresses and NAT.


def test_elastic_addresses(ec2, net):
    with an_address(ec2, TagSpecifications=tags("elastic-ip", Name="a")) as first, an_address(ec2) as second:
        eni = net.interface()
        to = {"AllocationId": first["AllocationId"], "NetworkInterfaceId": eni}
        assert refused(ec2.associate_address, **to) == (
            "Gateway.NotAttached",
            f"Network {net.vpc} is not attached to any internet gateway",
        )
        internet(net)
        association = ec2.associate_address(**to)["AssociationId"]
        [seen] = ec2.describe_addresses_attribute(AllocationIds=[first["AllocationId"]])["Addresses"]
        assert seen == {"AllocationId": first["AllocationId"], "PublicIp": first["PublicIp"]}, "it has no PTR record"
        [seen] = ec2.describe_addresses(PublicIps=[first["PublicIp"]])["Addresses"]
        assert (seen["NetworkInterfaceId"], seen["AssociationId"], seen["Domain"]) == (eni, association, "vpc")
        code, text = refused(ec2.associate_address, **to, AllowReassociation=False)
        assert code == "Resource.AlreadyAssociated" and association in text
        assert refused(ec2.release_address, AllocationId=first["AllocationId"])[0] == "InvalidIPAddress.InUse"
        # Reassociation is automatic, of the address and of the interface.
        ec2.associate_address(AllocationId=second["AllocationId"], NetworkInterfaceId=eni)
        assert "AssociationId" not in ec2.describe_addresses(AllocationIds=[first["AllocationId"]])["Addresses"][0]
        assert refused(ec2.disassociate_address, AssociationId=association)[0] == "InvalidAssociationID.NotFound"
        assert refused(ec2.associate_address, **to, PrivateIpAddress="10.255.0.1")[0] == "InvalidParameterValue"
        ec2.disassociate_address(PublicIp=second["PublicIp"])
        ec2.delete_network_interface(NetworkInterfaceId=eni)
        with contextlib.ExitStack() as held:
            taken = len(ec2.describe_addresses()["Addresses"])
            for _ in range(5 - taken):
                held.enter_context(an_address(ec2))
            assert refused(ec2.allocate_address)[0] == "AddressLimitExceeded"
    assert refused(ec2.release_address, AllocationId=first["AllocationId"])[0] == "InvalidAllocationID.NotFound"
    assert refused(ec2.release_address, PublicIp="203.0.113.250")[0] == "InvalidAddress.NotFound"
    assert refused(ec2.allocate_address, Domain="standard")[0] == "UnsupportedOperation"


def test_nat_gateways(ec2, net):
    with an_address(ec2) as address:
        given = {"SubnetId": net.subnets[0], "AllocationId": address["AllocationId"]}
        assert refused(ec2.create_nat_gateway, **given)[0] == "Gateway.NotAttached"
        internet(net)
        nat = ec2.create_nat_gateway(**given, ClientToken="n")["NatGateway"]
        assert ec2.create_nat_gateway(**given, ClientToken="n")["NatGateway"] == nat
        name, [one] = {"NatGatewayId": nat["NatGatewayId"]}, nat["NatGatewayAddresses"]
        assert (nat["State"], nat["ConnectivityType"], nat["VpcId"]) == ("available", "public", net.vpc)
        assert (one["PublicIp"], one["AllocationId"]) == (address["PublicIp"], address["AllocationId"])
        [eni] = ec2.describe_network_interfaces(NetworkInterfaceIds=[one["NetworkInterfaceId"]])["NetworkInterfaces"]
        assert eni["Groups"] == [] and not eni["SourceDestCheck"] and eni["RequesterManaged"]
        assert refused(ec2.create_nat_gateway, **given)[0] == "Resource.AlreadyAssociated"
        assert refused(ec2.disassociate_address, AssociationId=one["AssociationId"])[0] == "OperationNotPermitted"
        ec2.create_route(RouteTableId=net.tables[1], DestinationCidrBlock="0.0.0.0/0", **name)
        assert refused(ec2.delete_subnet, SubnetId=net.subnets[0])[0] == "DependencyViolation"
        for _ in (1, 2):
            assert ec2.delete_nat_gateway(**name)["NatGatewayId"] == nat["NatGatewayId"]
        of = [{"Name": "vpc-id", "Values": [net.vpc]}]
        [gone] = ec2.describe_nat_gateways(Filters=of)["NatGateways"]
        assert gone["State"] == "deleted" and gone["DeleteTime"] and gone["NatGatewayAddresses"] == [one]
        assert net.routes(1)[0]["State"] == "blackhole"
    private = ec2.create_nat_gateway(SubnetId=net.subnets[0], ConnectivityType="private")["NatGateway"]
    assert "AllocationId" not in private["NatGatewayAddresses"][0] and private["ConnectivityType"] == "private"
    assert refused(ec2.create_nat_gateway, SubnetId=net.subnets[0])[0] == "MissingParameter"
    assert refused(ec2.delete_nat_gateway, NatGatewayId="nat-0") == (
        "NatGatewayNotFound",
        "The Nat Gateway nat-0 was not found",
    )


# Flow logs.


@pytest.fixture(scope="module")
def delivery(service):
    """The article's role for flow logs."""
    iam = service.client("iam")
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Action": "sts:AssumeRole",
                "Effect": "Allow",
                "Principal": {"Service": "vpc-flow-logs.amazonaws.com"},
            }
        ],
    }
    made = iam.create_role(RoleName="vpc-flow-logs-role", AssumeRolePolicyDocument=json.dumps(trust))
    actions = ["CreateLogGroup", "CreateLogStream", "PutLogEvents", "DescribeLogGroups", "DescribeLogStreams"]
    policy = {
        "Version": "2012-10-17",
        "Statement": [{"Action": [f"logs:{a}" for a in actions], "Effect": "Allow", "Resource": "*"}],
    }
    iam.put_role_policy(
        RoleName="vpc-flow-logs-role", PolicyName="vpc-flow-logs-policy", PolicyDocument=json.dumps(policy)
    )
    yield made["Role"]["Arn"]
    iam.delete_role_policy(RoleName="vpc-flow-logs-role", PolicyName="vpc-flow-logs-policy")
    iam.delete_role(RoleName="vpc-flow-logs-role")


def test_the_articles_flow_log(service, ec2, net, delivery):
    logs = service.client("logs")
    logs.create_log_group(logGroupName="/aws/vpc/flowlogs")
    logs.put_retention_policy(logGroupName="/aws/vpc/flowlogs", retentionInDays=7)
    [group] = logs.describe_log_groups(logGroupNamePrefix="/aws/vpc/flowlogs")["logGroups"]
    given = {
        "ResourceIds": [net.vpc],
        "ResourceType": "VPC",
        "TrafficType": "ALL",
        "LogDestinationType": "cloud-watch-logs",
        "LogDestination": group["logGroupArn"],
        "DeliverLogsPermissionArn": delivery,
    }
    made = ec2.create_flow_logs(**given)
    assert made["Unsuccessful"] == []
    [seen] = ec2.describe_flow_logs(Filters=[{"Name": "resource-id", "Values": [net.vpc]}])["FlowLogs"]
    assert [seen["FlowLogId"]] == made["FlowLogIds"]
    assert (seen["FlowLogStatus"], seen["TrafficType"], seen["LogGroupName"]) == ("ACTIVE", "ALL", "/aws/vpc/flowlogs")
    assert seen["LogFormat"].startswith("${version} ${account-id}") and seen["MaxAggregationInterval"] == 600
    twice = ec2.create_flow_logs(**given)["Unsuccessful"]
    assert [u["Error"]["Code"] for u in twice] == ["FlowLogAlreadyExists"]
    gone = ec2.delete_flow_logs(FlowLogIds=[*made["FlowLogIds"], "fl-0"])["Unsuccessful"]
    assert [(g["ResourceId"], g["Error"]["Code"]) for g in gone] == [("fl-0", "InvalidFlowLogId.NotFound")]
    logs.delete_log_group(logGroupName="/aws/vpc/flowlogs")


def test_flow_logs_of_several_and_what_is_wrong_with_them(service, ec2, net, delivery):
    s3 = service.client("s3")
    s3.create_bucket(Bucket="flow-records")
    to_s3 = {"LogDestinationType": "s3", "LogDestination": "arn:aws:s3:::flow-records/vpc/"}
    base = {"ResourceType": "Subnet", "TrafficType": "REJECT", "MaxAggregationInterval": 60}
    fields = "${version} ${vpc-id} ${flow-direction} ${pkt-srcaddr} ${action} ${belljar-layer}"
    made = ec2.create_flow_logs(
        ResourceIds=[*net.subnets, "subnet-0"],
        **base,
        **to_s3,
        LogFormat=fields,
        TagSpecifications=tags("vpc-flow-log", Of="tests"),
    )
    assert [u["Error"]["Code"] for u in made["Unsuccessful"]] == ["InvalidSubnetID.NotFound"]
    seen = ec2.describe_flow_logs(FlowLogIds=made["FlowLogIds"])["FlowLogs"]
    assert {s["ResourceId"] for s in seen} == set(net.subnets)
    one_gone = {**base, **to_s3, "ResourceIds": ["subnet-0"], "ClientToken": "flow-logs-once"}
    first, second = (ec2.create_flow_logs(**one_gone) for _ in range(2))
    assert len(first["Unsuccessful"]) == 1 and second["Unsuccessful"] == first["Unsuccessful"], "said again as it was"
    other = {**one_gone, "ResourceIds": net.subnets[:1]}
    assert refused(ec2.create_flow_logs, **other)[0] == "IdempotentParameterMismatch"
    assert all(s["LogFormat"] == fields and s["MaxAggregationInterval"] == 60 for s in seen)
    assert len(ec2.describe_flow_logs(Filters=[{"Name": "tag:Of", "Values": ["tests"]}])["FlowLogs"]) == 2

    one = {**base, "ResourceIds": net.subnets[:1]}
    to_logs = {"LogGroupName": "g", "DeliverLogsPermissionArn": delivery}
    other_role = {"DeliverLogsPermissionArn": service.role}
    principal = {"Service": "vpc-flow-logs.amazonaws.com"}
    denied = {"Sid": "1", "Effect": "Deny", "Principal": principal, "Action": "sts:AssumeRole"}
    trust = json.dumps({"Version": "2012-10-17", "Statement": [denied]})
    iam = service.client("iam")
    never = iam.create_role(RoleName="never-flow-logs", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    for given, words in (
        ({**to_s3, "LogFormat": "${colour}"}, "Unknown fields provided: colour"),
        ({**to_s3, "MaxAggregationInterval": 90}, "MaxAggregationInterval"),
        ({**to_s3, "LogDestination": "arn:aws:s3:::nobodys"}, "LogDestination: nobodys is undeliverable"),
        ({**to_s3, "LogDestination": "arn:aws:s3:::flow-records/AWSLogs"}, "AWSLogs"),
        ({**to_s3, "DeliverLogsPermissionArn": delivery}, "not applicable for s3"),
        ({"LogGroupName": "g"}, "DeliverLogsPermissionArn can't be empty"),
        ({**to_logs, "LogDestination": "arn:aws:logs:x"}, "Please only provide LogGroupName or only provide LogDestination"),
        ({**to_logs, **other_role}, "Unable to assume given IAM role"),
        ({**to_logs, "DeliverLogsPermissionArn": never}, "Unable to assume given IAM role"),
        ({"DeliverLogsPermissionArn": delivery}, "LogDestination can't be empty"),
    ):
        code, text = refused(ec2.create_flow_logs, **{**one, **given})
        assert code == "InvalidParameter" and words in text, text
    parquet = {**to_s3, "DestinationOptions": {"FileFormat": "parquet"}}
    assert "parquet" in refused(ec2.create_flow_logs, **one, **parquet)[1]
    ec2.delete_flow_logs(FlowLogIds=made["FlowLogIds"])
    s3.delete_bucket(Bucket="flow-records")


# Network Insights.


def test_network_insights_name_every_blocker(ec2, net):
    closed = ec2.create_security_group(VpcId=net.vpc, GroupName="closed", Description="closed")["GroupId"]
    everything = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    ec2.revoke_security_group_egress(GroupId=closed, IpPermissions=everything)
    one, two = net.interface(0), net.interface(1)
    ec2.modify_network_interface_attribute(NetworkInterfaceId=one, Groups=[closed])
    path = ec2.create_network_insights_path(
        Source=one,
        Destination=two,
        Protocol="tcp",
        DestinationPort=443,
        TagSpecifications=tags("network-insights-path", Of="tests"),
    )["NetworkInsightsPath"]
    assert (path["Source"], path["Destination"], path["Protocol"]) == (one, two, "tcp")
    name = {"NetworkInsightsPathId": path["NetworkInsightsPathId"]}

    def analyse() -> dict:
        return ec2.start_network_insights_analysis(**name)["NetworkInsightsAnalysis"]

    first = analyse()
    assert first["Status"] == "succeeded" and not first["NetworkPathFound"]
    # AWS stops at the first one.
    assert {e["ExplanationCode"] for e in first["Explanations"]} <= {"ENI_SG_RULES_MISMATCH", "SG_HAS_NO_RULES"}
    assert len(first["Explanations"]) == 2
    assert {e["Direction"] for e in first["Explanations"]} == {"egress", "ingress"}
    assert first["StatusMessage"].count("aws ec2 authorize-security-group-") == 2
    port = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443}
    ec2.authorize_security_group_egress(
        GroupId=closed, IpPermissions=[{**port, "UserIdGroupPairs": [{"GroupId": net.group}]}]
    )
    assert len(analyse()["Explanations"]) == 1
    ec2.authorize_security_group_ingress(
        GroupId=net.group, IpPermissions=[{**port, "UserIdGroupPairs": [{"GroupId": closed}]}]
    )
    last = analyse()
    assert last["NetworkPathFound"] and last["Explanations"] == []
    ids = [c["Component"]["Id"] for c in last["ForwardPathComponents"]]
    assert ids[0] == one and ids[-1] == two and {closed, net.group} <= set(ids)
    assert any(c.get("AclRule", {}).get("RuleAction") == "allow" for c in last["ForwardPathComponents"])
    assert last["ReturnPathComponents"][0]["Component"]["Id"] == two

    found = [{"Name": "path-found", "Values": ["true"]}]
    seen = ec2.describe_network_insights_analyses(**name, Filters=found)["NetworkInsightsAnalyses"]
    assert [a["NetworkInsightsAnalysisId"] for a in seen] == [last["NetworkInsightsAnalysisId"]]
    assert refused(ec2.delete_network_insights_path, **name)[0] == "AnalysisExistsForNetworkInsightsPath"
    for analysis in ec2.describe_network_insights_analyses(**name)["NetworkInsightsAnalyses"]:
        ec2.delete_network_insights_analysis(NetworkInsightsAnalysisId=analysis["NetworkInsightsAnalysisId"])
    assert [p["Tags"] for p in ec2.describe_network_insights_paths()["NetworkInsightsPaths"]] == [
        [{"Key": "Of", "Value": "tests"}]
    ]
    ec2.delete_network_insights_path(**name)
    assert refused(ec2.start_network_insights_analysis, **name)[0] == "InvalidNetworkInsightsPathId.NotFound"
    for eni in (one, two):
        ec2.delete_network_interface(NetworkInterfaceId=eni)
    ec2.revoke_security_group_ingress(
        GroupId=net.group, IpPermissions=[{**port, "UserIdGroupPairs": [{"GroupId": closed}]}]
    )
    ec2.delete_security_group(GroupId=closed)


def test_network_insights_to_an_endpoint_and_to_the_internet(ec2, net):
    eni, gateway = net.interface(), internet(net)
    s3 = ec2.create_vpc_endpoint(VpcId=net.vpc, ServiceName=service_name("s3"))["VpcEndpoint"]["VpcEndpointId"]
    logs = ec2.create_vpc_endpoint(
        VpcId=net.vpc, ServiceName=service_name("logs"), VpcEndpointType="Interface", SubnetIds=net.subnets
    )["VpcEndpoint"]["VpcEndpointId"]

    def ask(source: str, **to) -> dict:
        path = ec2.create_network_insights_path(Source=source, Protocol="tcp", DestinationPort=443, **to)
        name = {"NetworkInsightsPathId": path["NetworkInsightsPath"]["NetworkInsightsPathId"]}
        analysis = ec2.start_network_insights_analysis(**name)["NetworkInsightsAnalysis"]
        ec2.delete_network_insights_analysis(NetworkInsightsAnalysisId=analysis["NetworkInsightsAnalysisId"])
        ec2.delete_network_insights_path(**name)
        return analysis

    def codes(analysis: dict) -> set[str]:
        return {e["ExplanationCode"] for e in analysis["Explanations"]}

    blocked = ask(eni, Destination=s3)
    assert codes(blocked) == {"NO_ROUTE_TO_DESTINATION"}, blocked["StatusMessage"]
    ec2.modify_vpc_endpoint(VpcEndpointId=s3, AddRouteTableIds=net.tables[:1])
    passed = ask(eni, Destination=s3)
    assert passed["NetworkPathFound"]
    routes = [c["RouteTableRoute"] for c in passed["ForwardPathComponents"] if "RouteTableRoute" in c]
    assert routes[0]["GatewayId"] == s3 and routes[0]["DestinationPrefixListId"].startswith("pl-")
    # The VPC's default group lets in only its own members.
    assert codes(ask(eni, Destination=logs)) == {"ENI_SG_RULES_MISMATCH"}
    outwards = {"Destination": gateway, "DestinationIp": "198.51.100.9"}
    assert {"NO_ROUTE_TO_DESTINATION", "IGW_PUBLIC_IP_ASSOCIATION_FOR_EGRESS"} <= codes(ask(eni, **outwards))
    ec2.create_route(RouteTableId=net.tables[0], DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    with an_address(ec2) as address:
        ec2.associate_address(AllocationId=address["AllocationId"], NetworkInterfaceId=eni)
        assert ask(eni, **outwards)["NetworkPathFound"]
        inwards = ask(gateway, Destination=eni)
        assert codes(inwards) == {"SG_HAS_NO_RULES"}, inwards["StatusMessage"]
        ec2.disassociate_address(PublicIp=address["PublicIp"])


def test_what_paths_are_refused(ec2, net):
    eni = net.interface()
    base = {"Source": eni, "Protocol": "tcp", "DestinationPort": 443}
    assert refused(ec2.create_network_insights_path, **base)[0] == "MissingParameter"
    assert refused(ec2.create_network_insights_path, **base, DestinationIp="300.0.0.1")[0] == "InvalidParameterValue"
    gone = refused(ec2.create_network_insights_path, **base, Destination="eni-0")
    assert gone[0] == "InvalidNetworkInterfaceID.NotFound"
    assert "tgw-1" in refused(ec2.create_network_insights_path, **base, Destination="tgw-1")[1]
    no_port = {"Source": eni, "Protocol": "tcp", "Destination": eni}
    assert "DestinationPort" in refused(ec2.create_network_insights_path, **no_port)[1]
    ec2.delete_network_interface(NetworkInterfaceId=eni)
