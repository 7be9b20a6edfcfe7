"""Whose credentials a container has: its execution role's, if it is not isolated, and no others."""

import contextlib
import io
import tarfile
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError
from hosting import until
from service import ROLE

ACCOUNT = "123456789012"
TRUST = """{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
    "Principal": {"Service": "sagemaker.amazonaws.com"}}]}"""
SLEEP = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"]
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/{ROLE}/SageMaker"


@pytest.fixture(scope="module", autouse=True)
def bucket(service):
    service.client("s3").create_bucket(Bucket="roles")


def create(service, name: str, entrypoint: list[str], **changes) -> None:
    service.client("sagemaker").create_training_job(
        **{
            "TrainingJobName": name,
            "RoleArn": service.role,
            "AlgorithmSpecification": {
                "TrainingImage": "sklearn",
                "TrainingInputMode": "File",
                "ContainerEntrypoint": entrypoint,
            },
            "OutputDataConfig": {"S3OutputPath": "s3://roles/out"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
            "StoppingCondition": {"MaxRuntimeInSeconds": 120},
            **changes,
        }
    )


def wardens_key(service, name: str) -> dict[str, str]:
    """What somebody would have who had taken over the warden of a job."""
    folder = str(service.state / "jobs").encode()

    def found():
        for pid in service.wardens():
            # One that ends meanwhile is not the one.
            with contextlib.suppress(OSError):
                words = (Path("/proc") / str(pid) / "cmdline").read_bytes()
                if folder in words and name.encode() in words:
                    pairs = (Path("/proc") / str(pid) / "environ").read_bytes().split(b"\0")
                    environment = dict(p.decode(errors="replace").split("=", 1) for p in pairs if b"=" in p)
                    if "AWS_ACCESS_KEY_ID" in environment:
                        return environment
        return None

    environment = until(found, f"the warden of {name}")
    return {
        "aws_access_key_id": environment["AWS_ACCESS_KEY_ID"],
        "aws_secret_access_key": environment["AWS_SECRET_ACCESS_KEY"],
    }


def code(call, **arguments) -> str:
    with pytest.raises(ClientError) as e:
        call(**arguments)
    return e.value.response["Error"]["Code"]


@pytest.fixture
def sleeping(service, sklearn_image, belljar):
    """Jobs that sleep until they are stopped."""
    if belljar.other_user:
        pytest.skip("as root alone: it reads the environment of another user's process")
    names = []

    def start(name: str, isolated: bool) -> dict[str, str]:
        create(service, name, SLEEP, EnableNetworkIsolation=isolated)
        names.append(name)
        return wardens_key(service, name)

    yield start
    for name in names:
        with contextlib.suppress(ClientError):
            service.client("sagemaker").stop_training_job(TrainingJobName=name)
    for name in names:
        service.wait(name)


def test_a_wardens_key_opens_its_containers_role_and_nothing_else(service, sleeping):
    key = sleeping("role-open", isolated=False)
    sts = service.client("sts", **key)
    assert code(sts.get_caller_identity) == "AccessDeniedException"
    assert code(sts.get_session_token) == "AccessDeniedException"
    assert code(service.client("sagemaker", **key).list_training_jobs) == "AccessDeniedException"
    service.client("iam").create_role(RoleName="other-role", AssumeRolePolicyDocument=TRUST)
    other = f"arn:aws:iam::{ACCOUNT}:role/other-role"
    assert code(sts.assume_role, RoleArn=other, RoleSessionName="SageMaker") == "AccessDenied"
    assert code(sts.assume_role, RoleArn=service.role, RoleSessionName="me") == "AccessDenied"
    service.client("iam").delete_role(RoleName="other-role")

    given = sts.assume_role(RoleArn=service.role, RoleSessionName="SageMaker")
    assert given["AssumedRoleUser"]["Arn"] == SESSION
    names = {"aws_access_key_id": "AccessKeyId", "aws_secret_access_key": "SecretAccessKey"}
    session = {mine: given["Credentials"][theirs] for mine, theirs in names.items()}
    session["aws_session_token"] = given["Credentials"]["SessionToken"]
    assert service.client("sts", **session).get_caller_identity()["Arn"] == SESSION
    assert service.client("sagemaker", **session).list_training_jobs()["TrainingJobSummaries"]

    # It ends with its job.
    service.client("sagemaker").stop_training_job(TrainingJobName="role-open")
    service.wait("role-open")
    assert code(service.client("sts", **session).get_caller_identity) == "InvalidClientTokenId"


def test_an_isolated_jobs_key_opens_no_role(service, sleeping):
    sts = service.client("sts", **sleeping("role-sealed", isolated=True))
    with pytest.raises(ClientError) as e:
        sts.assume_role(RoleArn=service.role, RoleSessionName="SageMaker")
    assert "isolated (EnableNetworkIsolation)" in e.value.response["Error"]["Message"]


SDK = ["boto3", "botocore", "jmespath", "s3transfer", "urllib3", "dateutil", "six.py"]
UNPACK = "mkdir /tmp/sdk && tar -xf /opt/ml/input/data/sdk/sdk.tar -C /tmp/sdk && exec python3 /tmp/sdk/who.py"
WHO = """
import os
import boto3
from botocore.credentials import ContainerProvider, InstanceMetadataProvider
from botocore.utils import InstanceMetadataFetcher

print("identity", boto3.client("sts").get_caller_identity()["Arn"])
print("container", ContainerProvider().load().method)
print("metadata", InstanceMetadataProvider(InstanceMetadataFetcher()).load().method)
print("own", sorted(n for n in os.environ if n.startswith("AWS_") and ("KEY" in n or "TOKEN" in n)))
"""


def sdk(service) -> dict:
    """A channel with what boto3 needs to call STS: the image has none of it."""
    packages, whole = Path(boto3.__file__).parents[1], io.BytesIO()

    def wanted(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        parts = Path(entry.name).parts
        # The container's root may not give files to whoever runs the tests.
        entry.uid = entry.gid = 0
        of_others = len(parts) > 2 and parts[:2] == ("botocore", "data") and "." not in parts[2] and parts[2] != "sts"
        return None if of_others or "__pycache__" in parts else entry

    with tarfile.open(fileobj=whole, mode="w") as tar:
        for name in SDK:
            tar.add(packages / name, name, filter=wanted)
        who = tarfile.TarInfo("who.py")
        who.size = len(WHO)
        tar.addfile(who, io.BytesIO(WHO.encode()))
    service.client("s3").put_object(Bucket="roles", Key="sdk/sdk.tar", Body=whole.getvalue())
    where = {"S3DataType": "S3Prefix", "S3Uri": "s3://roles/sdk/"}
    return {"ChannelName": "sdk", "DataSource": {"S3DataSource": where}}


def test_boto3_finds_the_role_inside(service, sklearn_image):
    create(service, "role-inside", ["sh", "-c", UNPACK], InputDataConfig=[sdk(service)], EnableNetworkIsolation=False)
    assert service.wait("role-inside")["TrainingJobStatus"] == "Completed"
    lines = service.lines("role-inside", "algo-1")
    assert f"identity {SESSION}" in lines
    assert "container container-role" in lines and "metadata iam-role" in lines
    assert "own []" in lines
