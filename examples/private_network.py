"""A network with no way to the internet, and the few rules that SageMaker needs in it.

Two private subnets in two Availability Zones, a security group for each role, a network ACL as second
layer, and VPC endpoints for the services that are used. What is not allowed here is not possible:
take a rule away, and the job that needs it fails at once with the rule's name.
"""

import contextlib
import dataclasses
import time
from collections.abc import Iterator

import boto3
from botocore.exceptions import ClientError

BLOCK = "10.20.0.0/16"
SUBNETS = ["10.20.1.0/24", "10.20.2.0/24"]
HTTPS = 443
EPHEMERAL = (1024, 65535)
"""Where answers come back to: a network ACL does not remember the question."""
IKE, ESP = 500, "50"
"""What instances that encrypt their traffic exchange (Developer Guide, "Protect communications")."""
INTERFACE_ENDPOINTS = ["sagemaker.api", "sagemaker.runtime", "ecr.api", "ecr.dkr", "logs"]


@dataclasses.dataclass
class PrivateNetwork:
    """Ids of what was made."""

    vpc: str
    subnets: list[str]
    training: str
    """The security group of training instances."""
    serving: str
    """The security group of instances that serve a model."""

    def config(self, group: str) -> dict:
        """`VpcConfig`."""
        return {"Subnets": self.subnets, "SecurityGroupIds": [group]}


@contextlib.contextmanager
def private_network(name: str, ec2=None) -> Iterator[PrivateNetwork]:
    """Makes it, and takes it down again when it is left."""
    ec2 = ec2 or boto3.client("ec2")
    vpc = ec2.create_vpc(CidrBlock=BLOCK, TagSpecifications=tagged("vpc", name))["Vpc"]["VpcId"]
    try:
        yield build(ec2, vpc, name)
    finally:
        take_down(ec2, vpc)


def build(ec2, vpc: str, name: str) -> PrivateNetwork:
    # Both are needed for the services' own names to lead to the endpoints.
    ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsSupport={"Value": True})
    ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
    zones = ec2.describe_availability_zones()["AvailabilityZones"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=block, AvailabilityZone=zone["ZoneName"])["Subnet"]["SubnetId"]
        for block, zone in zip(SUBNETS, zones)
    ]
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    for subnet in subnets:
        ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)
    service = f"com.amazonaws.{ec2.meta.region_name}"
    ec2.create_vpc_endpoint(
        VpcId=vpc, ServiceName=f"{service}.s3", VpcEndpointType="Gateway", RouteTableIds=[table]
    )
    lists = ec2.describe_managed_prefix_lists(Filters=[{"Name": "prefix-list-name", "Values": [f"{service}.s3"]}])
    s3 = lists["PrefixLists"][0]
    blocks = [e["Cidr"] for e in ec2.get_managed_prefix_list_entries(PrefixListId=s3["PrefixListId"])["Entries"]]

    training = group(ec2, vpc, f"{name}-training", "Training instances")
    serving = group(ec2, vpc, f"{name}-serving", "Instances that serve a model")
    services = group(ec2, vpc, f"{name}-endpoints", "VPC endpoints of AWS services")
    for who in (training, serving):
        allow_out(ec2, who, tcp(HTTPS) | {"PrefixListIds": [{"PrefixListId": s3["PrefixListId"]}]})
        allow_out(ec2, who, tcp(HTTPS) | of_group(services))
        allow_in(ec2, services, tcp(HTTPS) | of_group(who))
    # Instances of one job talk to each other, and encrypt what they say.
    for rule in (tcp(*EPHEMERAL), {"IpProtocol": "udp", "FromPort": IKE, "ToPort": IKE}, {"IpProtocol": ESP}):
        allow_out(ec2, training, rule | of_group(training))
        allow_in(ec2, training, rule | of_group(training))

    second_layer(ec2, vpc, subnets, blocks)
    for endpoint in INTERFACE_ENDPOINTS:
        ec2.create_vpc_endpoint(
            VpcId=vpc,
            ServiceName=f"{service}.{endpoint}",
            VpcEndpointType="Interface",
            SubnetIds=subnets,
            SecurityGroupIds=[services],
            PrivateDnsEnabled=True,
        )
    return PrivateNetwork(vpc, subnets, training, serving)


def group(ec2, vpc: str, name: str, description: str) -> str:
    """One that allows nothing: a new one allows all that goes out."""
    made = ec2.create_security_group(VpcId=vpc, GroupName=name, Description=description)["GroupId"]
    everything = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    ec2.revoke_security_group_egress(GroupId=made, IpPermissions=[everything])
    return made


def allow_in(ec2, to: str, rule: dict) -> None:
    ec2.authorize_security_group_ingress(GroupId=to, IpPermissions=[rule])


def allow_out(ec2, of: str, rule: dict) -> None:
    ec2.authorize_security_group_egress(GroupId=of, IpPermissions=[rule])


def tcp(first: int, last: int | None = None) -> dict:
    return {"IpProtocol": "tcp", "FromPort": first, "ToPort": last or first}


def of_group(name: str) -> dict:
    return {"UserIdGroupPairs": [{"GroupId": name}]}


def second_layer(ec2, vpc: str, subnets: list[str], s3: list[str]) -> None:
    """A network ACL: whatever a security group may come to allow, nothing goes further than S3."""
    acl = ec2.create_network_acl(VpcId=vpc)["NetworkAcl"]["NetworkAclId"]

    def entry(number: int, block: str, out: bool, protocol: str = "-1", ports: tuple[int, int] | None = None) -> None:
        given = {"PortRange": {"From": ports[0], "To": ports[1]}} if ports else {}
        ec2.create_network_acl_entry(
            NetworkAclId=acl, RuleNumber=number, Protocol=protocol, RuleAction="allow", Egress=out, CidrBlock=block, **given
        )

    for out in (True, False):
        entry(100, BLOCK, out)
    for number, block in enumerate(s3, 200):
        entry(number, block, True, "6", (HTTPS, HTTPS))
        entry(number, block, False, "6", EPHEMERAL)
    mine = [{"Name": "association.subnet-id", "Values": subnets}]
    for found in ec2.describe_network_acls(Filters=mine)["NetworkAcls"]:
        for association in found["Associations"]:
            if association["SubnetId"] in subnets:
                ec2.replace_network_acl_association(
                    AssociationId=association["NetworkAclAssociationId"], NetworkAclId=acl
                )


def take_down(ec2, vpc: str) -> None:
    """What is in a VPC goes before it, and what is in use by nothing before that."""
    mine = [{"Name": "vpc-id", "Values": [vpc]}]
    endpoints = [e["VpcEndpointId"] for e in ec2.describe_vpc_endpoints(Filters=mine)["VpcEndpoints"]]
    if endpoints:
        ec2.delete_vpc_endpoints(VpcEndpointIds=endpoints)
    groups = ec2.describe_security_groups(Filters=mine)["SecurityGroups"]
    for found in groups:
        if found["IpPermissions"] and found["GroupName"] != "default":
            ec2.revoke_security_group_ingress(GroupId=found["GroupId"], IpPermissions=found["IpPermissions"])
        if found["IpPermissionsEgress"] and found["GroupName"] != "default":
            ec2.revoke_security_group_egress(GroupId=found["GroupId"], IpPermissions=found["IpPermissionsEgress"])
    for found in ec2.describe_subnets(Filters=mine)["Subnets"]:
        eventually(lambda subnet=found["SubnetId"]: ec2.delete_subnet(SubnetId=subnet))
    for found in groups:
        if found["GroupName"] != "default":
            eventually(lambda group=found["GroupId"]: ec2.delete_security_group(GroupId=group))
    for found in ec2.describe_route_tables(Filters=mine)["RouteTables"]:
        if not any(a["Main"] for a in found["Associations"]):
            ec2.delete_route_table(RouteTableId=found["RouteTableId"])
    for found in ec2.describe_network_acls(Filters=mine)["NetworkAcls"]:
        if not found["IsDefault"]:
            ec2.delete_network_acl(NetworkAclId=found["NetworkAclId"])
    ec2.delete_vpc(VpcId=vpc)


def eventually(delete, seconds: float = 300) -> None:
    """Interfaces of endpoints and instances are gone a while after their owners."""
    until = time.monotonic() + seconds
    while True:
        try:
            return delete()
        except ClientError as e:
            if e.response["Error"]["Code"] != "DependencyViolation" or time.monotonic() > until:
                raise
        time.sleep(1)


def tagged(kind: str, name: str) -> list[dict]:
    return [{"ResourceType": kind, "Tags": [{"Key": "Name", "Value": name}]}]
