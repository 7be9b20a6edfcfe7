"""Jobs and endpoints in a VPC: the example's network, as it is and with one rule taken away."""

import contextlib
import json
import sys

import pytest
from botocore.exceptions import ClientError
from conftest import ROOT, may_encrypt
from hosting import until
from service import ROLE

sys.path.insert(0, str(ROOT / "examples"))
import private_network as example  # noqa: E402

BUCKET = "in-a-vpc"
DATA = ROOT / "examples/digits/data"


@pytest.fixture(scope="module")
def ec2(service):
    return service.client("ec2")


@pytest.fixture(scope="module")
def sagemaker(service):
    return service.client("sagemaker")


@pytest.fixture(scope="module")
def network(ec2):
    with example.private_network("vpc-tests", ec2) as made:
        yield made
    left = ec2.describe_vpcs(Filters=[{"Name": "tag:Name", "Values": ["vpc-tests"]}])["Vpcs"]
    assert left == []


@pytest.fixture(scope="module")
def bucket(service) -> str:
    s3 = service.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    for channel in ("train", "test"):
        s3.put_object(Bucket=BUCKET, Key=f"{channel}/{channel}.csv", Body=(DATA / f"{channel}.csv").read_bytes())
    return BUCKET


def channel(name: str) -> dict:
    where = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/{name}/"}
    return {"ChannelName": name, "DataSource": {"S3DataSource": where}}


def job(name: str, config: dict, instances: int = 1, **changes) -> dict:
    return {
        "TrainingJobName": name,
        "RoleArn": f"arn:aws:iam::123456789012:role/{ROLE}",
        "AlgorithmSpecification": {"TrainingImage": "digits", "TrainingInputMode": "File"},
        "HyperParameters": {"trees": "10"},
        "InputDataConfig": [channel("train"), channel("test")],
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/out"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": instances, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 120},
        "EnableNetworkIsolation": True,
        "VpcConfig": config,
        **changes,
    }


def ended(sagemaker, name: str) -> dict:
    def over():
        described = sagemaker.describe_training_job(TrainingJobName=name)
        return described if described["TrainingJobStatus"] in ("Completed", "Failed", "Stopped") else None

    return until(over, name, timeout=90)


def interfaces(ec2, whose: str) -> list[dict]:
    found = ec2.describe_network_interfaces(Filters=[{"Name": "description", "Values": [f"*{whose}"]}])
    return found["NetworkInterfaces"]


def test_a_sealed_job_stages_by_its_interface(service, sagemaker, ec2, network, bucket, digits_image):
    config = network.config(network.training)
    sagemaker.create_training_job(**job("vpc-sealed", config))
    described = ended(sagemaker, "vpc-sealed")
    assert described["TrainingJobStatus"] == "Completed", described
    assert described["VpcConfig"] == config
    assert described["EnableNetworkIsolation"] is True
    key = "out/vpc-sealed/output/model.tar.gz"
    assert service.client("s3").head_object(Bucket=bucket, Key=key)["ContentLength"] > 0
    until(lambda: not interfaces(ec2, "vpc-sealed"), "the interface goes with its instance")


def test_every_instance_has_an_interface_while_it_runs(service, sagemaker, ec2, network, bucket, digits_image):
    config = network.config(network.training)
    encrypted = may_encrypt(service.belljar)
    many = job("vpc-two", config, 2, EnableInterContainerTrafficEncryption=encrypted, HyperParameters={"trees": "60"})
    sagemaker.create_training_job(**many)
    found = until(lambda: interfaces(ec2, "vpc-two"), "interfaces")
    assert len(found) == 2, "they come together"
    for interface in found:
        assert interface["SubnetId"] in network.subnets
        assert [g["GroupId"] for g in interface["Groups"]] == [network.training]
        assert interface["RequesterManaged"] is True
        with pytest.raises(ClientError):
            ec2.delete_network_interface(NetworkInterfaceId=interface["NetworkInterfaceId"])
    assert ended(sagemaker, "vpc-two")["TrainingJobStatus"] == "Completed"
    until(lambda: not interfaces(ec2, "vpc-two"), "the interfaces go with their instances")


# What is taken away, and the codes that must be named.


def without_egress(ec2, net):
    return group_rule(ec2, net.training, "egress", lambda r: r.get("PrefixListId"))


def without_peers(ec2, net):
    return group_rule(ec2, net.training, "ingress", lambda r: r["IpProtocol"] == "tcp")


def without_ike(ec2, net):
    return group_rule(ec2, net.training, "egress", lambda r: r["IpProtocol"] == "udp")


def without_esp(ec2, net):
    return group_rule(ec2, net.training, "ingress", lambda r: r["IpProtocol"] == "50")


def group_rule(ec2, group: str, direction: str, which):
    rules = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group]}])["SecurityGroupRules"]
    (rule,) = [r for r in rules if r["IsEgress"] == (direction == "egress") and which(r)]
    revoke = getattr(ec2, f"revoke_security_group_{direction}")
    authorize = getattr(ec2, f"authorize_security_group_{direction}")
    revoke(GroupId=group, SecurityGroupRuleIds=[rule["SecurityGroupRuleId"]])
    back = {"IpProtocol": rule["IpProtocol"]}
    if rule["IpProtocol"] in ("tcp", "udp"):
        back |= {"FromPort": rule["FromPort"], "ToPort": rule["ToPort"]}
    if "PrefixListId" in rule:
        back["PrefixListIds"] = [{"PrefixListId": rule["PrefixListId"]}]
    else:
        back["UserIdGroupPairs"] = [{"GroupId": rule["ReferencedGroupInfo"]["GroupId"]}]
    return lambda: authorize(GroupId=group, IpPermissions=[back])


def without_acl(egress: bool):
    def take(ec2, net):
        mine = [{"Name": "association.subnet-id", "Values": net.subnets[:1]}]
        (acl,) = ec2.describe_network_acls(Filters=mine)["NetworkAcls"]
        gone = [e for e in acl["Entries"] if e["Egress"] is egress and 200 <= e["RuleNumber"] < 300]
        name = acl["NetworkAclId"]
        for entry in gone:
            ec2.delete_network_acl_entry(NetworkAclId=name, RuleNumber=entry["RuleNumber"], Egress=egress)
        return lambda: [ec2.create_network_acl_entry(NetworkAclId=name, **entry) for entry in gone]

    return take


def without_route(ec2, net):
    mine = [{"Name": "vpc-id", "Values": [net.vpc]}, {"Name": "vpc-endpoint-type", "Values": ["Gateway"]}]
    (endpoint,) = ec2.describe_vpc_endpoints(Filters=mine)["VpcEndpoints"]
    change = {"VpcEndpointId": endpoint["VpcEndpointId"]}
    ec2.modify_vpc_endpoint(**change, RemoveRouteTableIds=endpoint["RouteTableIds"])
    return lambda: ec2.modify_vpc_endpoint(**change, AddRouteTableIds=endpoint["RouteTableIds"])


def without_names(ec2, net):
    dns = "EnableDnsSupport"
    ec2.modify_vpc_attribute(VpcId=net.vpc, **{dns: {"Value": False}})
    return lambda: ec2.modify_vpc_attribute(VpcId=net.vpc, **{dns: {"Value": True}})


TAKEN = {
    "egress": (without_egress, "ENI_SG_RULES_MISMATCH", "Data download failed:Please ensure"),
    "peers": (without_peers, "ENI_SG_RULES_MISMATCH", "cannot reach each other"),
    "ike": (without_ike, "ENI_SG_RULES_MISMATCH", "UDP port 500"),
    "esp": (without_esp, "ENI_SG_RULES_MISMATCH", "protocol 50 (ESP)"),
    "acl-out": (without_acl(True), "SUBNET_ACL_RESTRICTION", "Data download failed:Please ensure"),
    "acl-back": (without_acl(False), "SUBNET_ACL_RESTRICTION", "Data download failed:Please ensure"),
    "names": (without_names, "BELLJAR_DNS_NAME_UNRESOLVED", "Data download failed:Please ensure"),
    "route": (without_route, "NO_ROUTE_TO_DESTINATION", "Data download failed:Please ensure"),
}


@pytest.mark.parametrize("what", TAKEN)
def test_a_missing_rule_is_named_before_anything_starts(sagemaker, ec2, network, bucket, digits_image, what):
    take, code, words = TAKEN[what]
    name, config = f"vpc-without-{what}", network.config(network.training)
    put_back = take(ec2, network)
    try:
        encrypted = what in ("ike", "esp")
        sagemaker.create_training_job(**job(name, config, 2, EnableInterContainerTrafficEncryption=encrypted))
        described = sagemaker.describe_training_job(TrainingJobName=name)
    finally:
        put_back()
    assert described["TrainingJobStatus"] == "Failed"
    reason = described["FailureReason"]
    assert reason.startswith("ClientError: ") and code in reason and words in reason, reason
    # Which asks of the way to S3.
    assert (f"belljar explain --from {name}" in reason) == words.startswith("Data download")
    assert "TrainingStartTime" not in described
    assert interfaces(ec2, name) == []


ALLOWED = {
    "list": ("s3:ListBucket", ""),
    "read-train": ("s3:GetObject", "/train/train.csv"),
    "read-test": ("s3:GetObject", "/test/test.csv"),
    "write": ("s3:PutObject", "/out/*"),
}


@contextlib.contextmanager
def policy(ec2, net, *statements: dict):
    """The S3 endpoint with a policy; without one again in the end."""
    mine = [{"Name": "vpc-id", "Values": [net.vpc]}, {"Name": "vpc-endpoint-type", "Values": ["Gateway"]}]
    (endpoint,) = ec2.describe_vpc_endpoints(Filters=mine)["VpcEndpoints"]
    change = {"VpcEndpointId": endpoint["VpcEndpointId"]}
    ec2.modify_vpc_endpoint(**change, PolicyDocument=json.dumps({"Statement": list(statements)}))
    try:
        yield endpoint["VpcEndpointId"]
    finally:
        ec2.modify_vpc_endpoint(**change, ResetPolicy=True)


def allowing(*what: str) -> list[dict]:
    """For the execution role alone."""
    role = {"AWS": f"arn:aws:iam::123456789012:role/{ROLE}"}
    found = [ALLOWED[one] for one in what]
    return [
        {"Effect": "Allow", "Principal": role, "Action": action, "Resource": f"arn:aws:s3:::{BUCKET}{below}"}
        for action, below in found
    ]


def test_what_the_endpoints_policy_allows_the_role_is_enough(sagemaker, ec2, network, bucket, digits_image):
    with policy(ec2, network, *allowing(*ALLOWED)):
        sagemaker.create_training_job(**job("vpc-policy", network.config(network.training)))
        described = ended(sagemaker, "vpc-policy")
    assert described["TrainingJobStatus"] == "Completed", described


@pytest.mark.parametrize("what", ALLOWED)
def test_what_the_endpoints_policy_lacks_is_named_before_anything_starts(
    sagemaker, ec2, network, bucket, digits_image, what
):
    name, (action, below) = f"vpc-policy-without-{what}", ALLOWED[what]
    with policy(ec2, network, *allowing(*(set(ALLOWED) - {what}))) as endpoint:
        sagemaker.create_training_job(**job(name, network.config(network.training)))
        described = sagemaker.describe_training_job(TrainingJobName=name)
    assert described["TrainingJobStatus"] == "Failed"
    reason = described["FailureReason"]
    assert "BELLJAR_ENDPOINT_POLICY_DENY" in reason and endpoint in reason, reason
    assert f"{action} on arn:aws:s3:::{BUCKET}{below.removesuffix('*')}" in reason, reason
    assert f"by arn:aws:sts::123456789012:assumed-role/{ROLE}/SageMaker" in reason, reason


def test_what_the_policy_refuses_while_data_are_staged_is_told_in_its_words(
    service, sagemaker, ec2, network, bucket, digits_image
):
    for key in ("a", "b"):
        service.client("s3").put_object(Bucket=bucket, Key=f"extra/{key}", Body=b"x")
    every = {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}
    one = {**every, "Effect": "Deny", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/extra/b"}
    with policy(ec2, network, every, one) as endpoint:
        channels = [channel("train"), channel("test"), channel("extra")]
        asked = job("vpc-denied", network.config(network.training), InputDataConfig=channels)
        sagemaker.create_training_job(**asked)
        described = ended(sagemaker, "vpc-denied")
    assert described["TrainingJobStatus"] == "Failed"
    words = f'User: arn:aws:sts::123456789012:assumed-role/{ROLE}/SageMaker is not authorized to perform: s3:GetObject'
    reason = described["FailureReason"]
    assert words in reason and f"policy allows the s3:GetObject action ({endpoint})" in reason, reason


def refused(call, **arguments) -> str:
    with pytest.raises(ClientError) as e:
        call(**arguments)
    return e.value.response["Error"]["Message"]


def test_what_is_not_there_or_not_together(sagemaker, ec2, network, bucket, digits_image):
    default = ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": ["default"]}])["SecurityGroups"]
    other = next(g["GroupId"] for g in default if g["VpcId"] != network.vpc)
    for config, words in [
        ({"Subnets": ["subnet-0123456789abcdef0"], "SecurityGroupIds": [network.training]}, "InvalidSubnetID.NotFound"),
        ({"Subnets": network.subnets, "SecurityGroupIds": ["sg-0123456789abcdef0"]}, "InvalidGroup.NotFound"),
        ({"Subnets": network.subnets, "SecurityGroupIds": [other]}, "belong to different networks"),
    ]:
        assert words in refused(sagemaker.create_training_job, **job("vpc-never", config))
        model = {"ModelName": "vpc-never", "PrimaryContainer": {"Image": "digits"}, "VpcConfig": config}
        role = f"arn:aws:iam::123456789012:role/{ROLE}"
        assert words in refused(sagemaker.create_model, ExecutionRoleArn=role, **model)


def test_an_endpoint_is_spread_over_two_zones(service, sagemaker, ec2, network, bucket, digits_image, hosting):
    sagemaker.create_training_job(**job("vpc-model", network.config(network.training)))
    made = ended(sagemaker, "vpc-model")
    assert made["TrainingJobStatus"] == "Completed", made
    url = made["ModelArtifacts"]["S3ModelArtifacts"]

    def endpoint(name: str, subnets: list[str]) -> None:
        config = {"Subnets": subnets, "SecurityGroupIds": [network.serving]}
        role = f"arn:aws:iam::123456789012:role/{ROLE}"
        container = {"Image": "digits", "ModelDataUrl": url}
        sagemaker.create_model(
            ModelName=name, PrimaryContainer=container, ExecutionRoleArn=role, VpcConfig=config, EnableNetworkIsolation=True
        )
        variant = {"VariantName": "v", "ModelName": name, "InstanceType": "ml.m5.large", "InitialInstanceCount": 2}
        sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)

    def status(name: str) -> dict:
        def settled():
            described = sagemaker.describe_endpoint(EndpointName=name)
            return described if described["EndpointStatus"] != "Creating" else None

        return until(settled, name)

    endpoint("vpc-one-zone", network.subnets[:1])
    failed = status("vpc-one-zone")
    assert failed["EndpointStatus"] == "Failed"
    assert "Unable to locate at least 2 availability zone(s)" in failed["FailureReason"], failed
    put_back = without_acl(False)(ec2, network)
    try:
        endpoint("vpc-blocked", network.subnets)
        failed = status("vpc-blocked")
    finally:
        put_back()
    assert "Failed to download model data" in failed["FailureReason"], failed
    assert "SUBNET_ACL_RESTRICTION" in failed["FailureReason"]
    endpoint("vpc-served", network.subnets)
    assert status("vpc-served")["EndpointStatus"] == "InService"
    found = interfaces(ec2, "vpc-served")
    assert sorted(i["SubnetId"] for i in found) == sorted(network.subnets)
    rows = (DATA / "test.csv").read_text().splitlines()[:3]
    body = "\n".join(row.partition(",")[2] for row in rows)
    answer = service.client("sagemaker-runtime").invoke_endpoint(
        EndpointName="vpc-served", ContentType="text/csv", Body=body.encode()
    )
    assert len(answer["Body"].read().split()) == 3
    for name in ("vpc-one-zone", "vpc-blocked", "vpc-served"):
        sagemaker.delete_endpoint(EndpointName=name)
    for name in ("vpc-one-zone", "vpc-blocked", "vpc-served"):
        until(lambda n=name: n not in [e["EndpointName"] for e in sagemaker.list_endpoints()["Endpoints"]], name)
    until(lambda: not interfaces(ec2, "vpc-served"), "the interfaces go with their instances")
