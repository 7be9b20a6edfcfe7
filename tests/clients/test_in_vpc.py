"""Containers that are in a VPC themselves: VpcConfig without EnableNetworkIsolation."""

import json
import os
import signal
import sys

import pytest
from conftest import ROOT, may_encrypt
from hosting import refusal, until, variant
from service import ROLE, Service

sys.path.insert(0, str(ROOT / "examples"))
import private_network as example  # noqa: E402

BUCKET = "inside-a-vpc"
S3 = "s3.us-east-1.amazonaws.com"
LOGS = "logs.us-east-1.amazonaws.com"
STS = "sts.us-east-1.amazonaws.com"
PORT = 5000


@pytest.fixture(scope="module")
def ec2(service):
    return service.client("ec2")


@pytest.fixture(scope="module")
def network(ec2):
    with example.private_network("inside", ec2) as made:
        meet = {"IpProtocol": "udp", "FromPort": PORT, "ToPort": PORT}
        example.allow_in(ec2, made.training, meet | example.of_group(made.training))
        example.allow_out(ec2, made.training, meet | example.of_group(made.training))
        yield made


@pytest.fixture(scope="module")
def bucket(service) -> str:
    service.client("s3").create_bucket(Bucket=BUCKET)
    return BUCKET


def job(name: str, config: dict | None, *arguments: str, instances: int = 1, **changes) -> dict:
    return {
        "TrainingJobName": name,
        "RoleArn": f"arn:aws:iam::123456789012:role/{ROLE}",
        "AlgorithmSpecification": {
            "TrainingImage": "probe",
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["/bin/probe"],
            "ContainerArguments": list(arguments),
        },
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/out"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": instances, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 120},
        **({"VpcConfig": config} if config else {}),
        **changes,
    }


def lines(service, name: str) -> list[str]:
    return service.lines(name, "algo")


def results(said: list[str]) -> dict[str, str]:
    told = [json.loads(line) for line in said if line.startswith("{") and '"probe"' in line]
    return {one["probe"]: one["result"] for one in told}


def evidence(service, name: str):
    """What verifying says of it."""
    file = service.belljar.new_folder("evidence") / "algo-1.intoto.json"
    key = f"out/{name}/evidence/algo-1.intoto.json"
    file.write_bytes(service.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read())
    service.belljar.give(file)
    return service.belljar.run("evidence", "verify", file, state=service.state)


def test_a_container_reaches_what_its_group_allows_and_nothing_else(service, network, bucket, probe_image):
    config = network.config(network.training)
    targets = [f"{S3}:443", f"{LOGS}:443", f"{LOGS}:80", f"{STS}:443"]
    command = ["in-turn", "connect " + " ".join(targets), "cat /etc/resolv.conf /etc/hosts /proc/net/dev"]
    service.client("sagemaker").create_training_job(**job("inside-one", config, *command))
    described = service.wait("inside-one")
    assert described["TrainingJobStatus"] == "Completed", (described["FailureReason"], lines(service, "inside-one"))
    said = lines(service, "inside-one")
    found = results(said)
    assert found[f"{S3}:443"] == "ok", found
    assert found[f"{LOGS}:443"] == "ok", found
    # The group has no rule for it: nothing answers, as on AWS.
    assert found[f"{LOGS}:80"] == "timeout", found
    # There is no endpoint, and so no name.
    assert found[f"{STS}:443"] in ("unresolved", "timeout"), found
    assert "nameserver 10.20.0.2" in said
    own = [line for line in said if line.endswith("\talgo-1")]
    assert own and own[0].startswith("10.20."), said
    devices = [line.split(":")[0].strip() for line in said if ":" in line and "Inter" not in line]
    assert "eth0" in devices and "lo" in devices
    assert any("EnableNetworkIsolation is off" in line for line in said)


def test_its_evidence_does_not_call_it_sealed(service, network, bucket, probe_image):
    config = network.config(network.training)
    service.client("sagemaker").create_training_job(**job("inside-evidence", config, "exit", "0"))
    assert service.wait("inside-evidence")["TrainingJobStatus"] == "Completed"
    verdict = evidence(service, "inside-evidence")
    assert verdict.returncode != 0
    assert "NOT A SEALED RUN" in verdict.stdout
    assert "It was not isolated: it had the network interface eni-" in verdict.stdout
    assert f"of {network.vpc}" in verdict.stdout


def test_instances_meet_by_their_interfaces(service, ec2, network, bucket, probe_image):
    config = network.config(network.training)
    sagemaker = service.client("sagemaker")
    sagemaker.create_training_job(**job("inside-two", config, "meet", str(PORT), instances=2))
    assert service.wait("inside-two")["TrainingJobStatus"] == "Completed", lines(service, "inside-two")
    met = [line for line in lines(service, "inside-two") if line.startswith("met ")]
    assert len(met) == 4 and all(" at 10.20." in line for line in met), met


def test_instances_that_encrypt_meet_by_a_link_of_their_own(service, ec2, network, bucket, probe_image):
    if not may_encrypt(service.belljar):
        pytest.skip("there is no /dev/net/tun")
    config = network.config(network.training)
    command = ["in-turn", f"meet {PORT}", "cat /opt/ml/input/config/resourceconfig.json"]
    two = job("inside-encrypted", config, *command, instances=2, EnableInterContainerTrafficEncryption=True)
    service.client("sagemaker").create_training_job(**two)
    assert service.wait("inside-encrypted")["TrainingJobStatus"] == "Completed", lines(service, "inside-encrypted")
    said = lines(service, "inside-encrypted")
    met = [line for line in said if line.startswith("met ")]
    assert len(met) == 4 and all(" at 100.127." in line for line in met), met
    assert any('"network_interface_name":"eth1"' in line for line in said), said


def test_a_lost_interface_is_told(service, network, bucket, probe_image):
    config = network.config(network.training)
    service.client("sagemaker").create_training_job(**job("inside-lost", config, "in-turn", "tick 2 1", "sleep 100"))
    until(lambda: "sleeping" in lines(service, "inside-lost"), "the container runs")
    (pid,) = fabrics(service)
    os.kill(pid, signal.SIGKILL)
    described = service.wait("inside-lost")
    assert described["TrainingJobStatus"] == "Failed"
    assert "lost its network interface" in described["FailureReason"], described["FailureReason"]
    # Another one comes, and what may be tried again is.
    again = job("inside-retried", config, "in-turn", "trap-term 0", RetryStrategy={"MaximumRetryAttempts": 1})
    service.client("sagemaker").create_training_job(**again)
    waits = lambda: lines(service, "inside-retried").count("waiting for TERM")  # noqa: E731
    until(lambda: waits() == 1, "the container runs")
    (pid,) = fabrics(service)
    os.kill(pid, signal.SIGKILL)
    until(lambda: waits() == 2, lambda: f"it runs again: {lines(service, 'inside-retried')}")
    service.client("sagemaker").stop_training_job(TrainingJobName="inside-retried")
    described = service.wait("inside-retried")
    assert described["TrainingJobStatus"] == "Stopped", described
    statuses = [t["Status"] for t in described["SecondaryStatusTransitions"]]
    assert statuses.count("Training") == 2 and "Restarting" in statuses, statuses
    service.client("sagemaker").create_training_job(**job("inside-again", config, "connect", f"{S3}:443"))
    assert service.wait("inside-again")["TrainingJobStatus"] == "Completed"
    assert results(lines(service, "inside-again")) == {f"{S3}:443": "ok"}


def small_subnets(ec2, network) -> list[str]:
    """Two of eleven addresses, in two zones, with the routes of the others."""
    mine = [{"Name": "association.subnet-id", "Values": network.subnets[:1]}]
    (table,) = ec2.describe_route_tables(Filters=mine)["RouteTables"]
    made = []
    for number, zone in enumerate(("us-east-1a", "us-east-1b")):
        block = {"CidrBlock": f"10.20.250.{16 * number}/28", "AvailabilityZone": zone}
        made.append(ec2.create_subnet(VpcId=network.vpc, **block)["Subnet"]["SubnetId"])
        ec2.associate_route_table(RouteTableId=table["RouteTableId"], SubnetId=made[-1])
    return made


def interfaces(ec2, whose: str) -> list[dict]:
    described = [{"Name": "description", "Values": [f"*{whose}"]}]
    return ec2.describe_network_interfaces(Filters=described)["NetworkInterfaces"]


@pytest.fixture
def small(ec2, network):
    """Small subnets, and what takes some of the addresses of one."""
    subnets = small_subnets(ec2, network)
    yield subnets, lambda s, n: ec2.create_network_interface(SubnetId=s, SecondaryPrivateIpAddressCount=n - 1)
    here = [{"Name": "subnet-id", "Values": subnets}]
    for one in ec2.describe_network_interfaces(Filters=here)["NetworkInterfaces"]:
        ec2.delete_network_interface(NetworkInterfaceId=one["NetworkInterfaceId"])
    for subnet in subnets:
        ec2.delete_subnet(SubnetId=subnet)


def test_an_attempt_has_the_addresses_of_the_one_before_it(service, ec2, network, small, bucket, probe_image):
    subnets, take = small
    take(subnets[0], 10)
    config = {"Subnets": subnets[:1], "SecurityGroupIds": [network.training]}
    again = {"RetryStrategy": {"MaximumRetryAttempts": 1}}
    tight = job("inside-tight", config, "in-turn", "tick 2 1", "sleep 3", **again)
    service.client("sagemaker").create_training_job(**tight)
    until(lambda: "tick 2" in lines(service, "inside-tight"), "the container runs")
    (pid,) = fabrics(service)
    os.kill(pid, signal.SIGKILL)
    described = service.wait("inside-tight")
    assert described["TrainingJobStatus"] == "Completed", described["FailureReason"]
    until(lambda: not interfaces(ec2, "inside-tight"), "its interface goes")


def fabrics(service) -> list[int]:
    """The processes that hold the VPCs of a service."""
    state, found = str(service.state), []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = open(f"/proc/{pid}/cmdline", "rb").read().split(b"\0")
        except OSError:
            continue
        if b"fabric" in words and state.encode() in words:
            found.append(int(pid))
    return found


def test_an_endpoint_in_a_vpc(hosting, network, probe_image):
    model = hosting.model_of(
        PrimaryContainer={"Image": probe_image},
        VpcConfig=network.config(network.serving),
        EnableNetworkIsolation=False,
    )
    name = hosting.create(hosting.config(variant(model)))
    hosting.wait(name)
    said = hosting.invoke(name, f"connect {S3}:443 {LOGS}:80")["Body"].decode().splitlines()
    assert results(said) == {f"{S3}:443": "ok", f"{LOGS}:80": "timeout"}
    hosting.delete(name)


def test_each_container_of_an_instance_has_an_interface(hosting, ec2, network, probe_image):
    containers = [{"Image": probe_image, "ContainerHostname": name} for name in ("one", "two")]
    model = hosting.model_of(
        Containers=containers,
        InferenceExecutionConfig={"Mode": "Direct"},
        VpcConfig=network.config(network.serving),
        EnableNetworkIsolation=False,
    )
    with hosting.endpoint(model) as name:
        found = interfaces(ec2, name)
        assert len({i["PrivateIpAddress"] for i in found}) == 2 and len({i["SubnetId"] for i in found}) == 1, found
        others = [f"{i['PrivateIpAddress']}:8080" for i in found]
        for container in ("one", "two"):
            asked = f"connect {S3}:443 {LOGS}:80 {' '.join(others)}"
            said = hosting.invoke(name, asked, TargetContainerHostname=container)["Body"].decode()
            met = results(said.splitlines())
            # Its own address is on its own `lo`, where it serves; the other's group lets nobody in.
            assert sorted(met.pop(other) for other in others) == ["ok", "timeout"], met
            assert met == {f"{S3}:443": "ok", f"{LOGS}:80": "timeout"}
    until(lambda: not interfaces(ec2, name), "its interfaces go with it")


def test_an_instance_that_dies_is_replaced_where_it_was(hosting, ec2, network, small, probe_image):
    subnets, take = small
    config = {"Subnets": subnets, "SecurityGroupIds": [network.serving]}
    model = hosting.model_of(PrimaryContainer={"Image": probe_image}, VpcConfig=config, EnableNetworkIsolation=False)
    name = hosting.create(hosting.config(variant(model, count=2)))
    hosting.wait(name)
    # Of the second zone: with the dead one among those to keep away from, the first would be as good.
    # Then where the address of the dead one is the only one that is free.
    for full in (False, True):
        if full:
            for subnet in subnets:
                take(subnet, 10)
        before = {server["id"]: server["zone"] for server in hosting.servers(name)}
        dead = next(ident for ident, zone in before.items() if zone == "us-east-1b")
        hosting.kill(dead)

        def replaced(dead=dead):
            now = {server["id"] for server in hosting.servers(name)}
            healthy = hosting.describe(name)["ProductionVariants"][0]["CurrentInstanceCount"]
            return healthy == 2 and len(now) == 2 and dead not in now

        until(replaced, "another takes its place", timeout=30)
        assert sorted(i["SubnetId"] for i in interfaces(ec2, name)) == sorted(subnets)
    # A third one has no address: that is told while it is waited for.
    more = [{"VariantName": "AllTraffic", "DesiredInstanceCount": 3}]
    hosting.sagemaker.update_endpoint_weights_and_capacities(EndpointName=name, DesiredWeightsAndCapacities=more)
    said = until(lambda: hosting.describe(name).get("FailureReason"), "the reason", timeout=10)
    assert "InsufficientFreeAddressesInSubnet" in said and hosting.describe(name)["EndpointStatus"] == "Updating"
    here = [{"Name": "subnet-id", "Values": subnets[:1]}, {"Name": "requester-managed", "Values": ["false"]}]
    (full,) = ec2.describe_network_interfaces(Filters=here)["NetworkInterfaces"]
    ec2.delete_network_interface(NetworkInterfaceId=full["NetworkInterfaceId"])
    assert "FailureReason" not in hosting.wait(name)
    hosting.delete(name)
    until(lambda: not interfaces(ec2, name), "the interfaces go with their instances")


def test_a_service_can_require_isolation(belljar, probe_image, digits_image):
    service = Service(belljar, "--require-isolation", state=belljar.new_folder("strict")).start()
    try:
        sagemaker = service.client("sagemaker")
        refused = refusal(sagemaker.create_training_job, **job("open", None, "exit", "0"))
        assert refused["Error"]["Code"] == "AccessDeniedException", refused
        assert "EnableNetworkIsolation" in refused["Error"]["Message"]
        sealed = job("sealed", None, "exit", "0", EnableNetworkIsolation=True)
        sagemaker.create_training_job(**sealed)
        assert "bucket" in service.wait("sealed")["FailureReason"], "it went as far as its output's place, which is none"
        model = {"ModelName": "m", "PrimaryContainer": {"Image": probe_image}, "ExecutionRoleArn": service.role}
        sagemaker.create_model(**model)
        config = {"EndpointConfigName": "c", "ProductionVariants": [variant("m")]}
        sagemaker.create_endpoint_config(**config)
        refused = refusal(sagemaker.create_endpoint, EndpointName="e", EndpointConfigName="c")
        assert refused["Error"]["Code"] == "AccessDeniedException", refused
        sagemaker.create_endpoint_config(**config | {"EndpointConfigName": "d"}, EnableNetworkIsolation=True)
        sagemaker.create_endpoint(EndpointName="e", EndpointConfigName="d")
        sagemaker.delete_endpoint(EndpointName="e")
    finally:
        service.stop()
