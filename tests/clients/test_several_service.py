"""Jobs with several instances of the service, through boto3."""

import io
import json
import tarfile

import pytest
from botocore.exceptions import ClientError
from conftest import may_encrypt
from hosting import until
from service import ROLE

GROUP = "/aws/sagemaker/TrainingJobs"
PROGRAM = """
import json, os, pathlib, signal, sys, time
# The first process of a container hears no TERM without a handler.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
ml = pathlib.Path("/opt/ml")
config = json.loads((ml / "input/config/resourceconfig.json").read_text())
chosen = json.loads((ml / "input/config/hyperparameters.json").read_text())
own = config["current_host"]
channels = {c.name: sorted(f.name for f in c.iterdir()) for c in (ml / "input/data").iterdir() if c.name != "code"}
(ml / f"model/{own}").write_text(own)
if "leaves" in chosen:
    (ml / "model/notes").write_text(f"of {own}")
    (ml / "output/data/same").write_text("same")
# After all that it makes: whoever reads this may stop it.
print(json.dumps({"group": config["current_group_name"], "channels": channels, "config": config}), flush=True)
if chosen.get("fails") == own:
    (ml / "output/failure").write_text("it was told to")
    sys.exit(7)
if "fails" in chosen or "waits" in chosen:
    time.sleep(300)
"""
TYPE = "ml.m5.large"


def channel(name: str, uri: str, distribution: str = "FullyReplicated", **more) -> dict:
    where = {"S3DataType": "S3Prefix", "S3Uri": uri, "S3DataDistributionType": distribution}
    return {"ChannelName": name, "DataSource": {"S3DataSource": {**where, **more}}}


@pytest.fixture(scope="module")
def bucket(service) -> str:
    s3 = service.client("s3")
    s3.create_bucket(Bucket="several")
    s3.put_object(Bucket="several", Key="code/program.py", Body=PROGRAM.encode())
    for n in range(7):
        s3.put_object(Bucket="several", Key=f"data/{n}", Body=b"x")
    return "several"


def request(name: str, image: str, resources: dict, channels: list, **changes) -> dict:
    return {
        "TrainingJobName": name,
        "RoleArn": f"arn:aws:iam::123456789012:role/{ROLE}",
        "AlgorithmSpecification": {
            "TrainingImage": image,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["python3", "-u", "/opt/ml/input/data/code/program.py"],
        },
        "InputDataConfig": [channel("code", "s3://several/code/"), *channels],
        "OutputDataConfig": {"S3OutputPath": "s3://several/out"},
        "ResourceConfig": {"VolumeSizeInGB": 1, **resources},
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
        "EnableNetworkIsolation": True,
        **changes,
    }


def streams(service, job: str) -> dict[str, list[str]]:
    """What each instance printed, by its name."""
    logs, found = service.client("logs"), {}
    for stream in logs.describe_log_streams(logGroupName=GROUP, logStreamNamePrefix=f"{job}/")["logStreams"]:
        name = stream["logStreamName"]
        events = logs.get_log_events(logGroupName=GROUP, logStreamName=name, startFromHead=True)["events"]
        host, _, begun = name.removeprefix(f"{job}/").rpartition("-")
        assert begun.isdigit(), name
        found[host] = [event["message"] for event in events]
    return found


def printed(service, job: str) -> dict[str, dict]:
    return {host: json.loads(lines[-1]) for host, lines in streams(service, job).items()}


def archive(service, job: str, name: str) -> dict[str, str]:
    """The files in an archive, with what is in them."""
    body = service.client("s3").get_object(Bucket="several", Key=f"out/{job}/output/{name}.tar.gz")["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body)) as tar:
        return {m.name.removeprefix("./"): tar.extractfile(m).read().decode() for m in tar if m.isfile()}


def model(service, job: str) -> list[str]:
    return sorted(archive(service, job, "model"))


def test_each_instance_has_its_own(service, sklearn_image, bucket):
    count = {"InstanceType": TYPE, "InstanceCount": 3}
    channels = [channel("all", "s3://several/data/"), channel("part", "s3://several/data/", "ShardedByS3Key")]
    wanted = request("own", sklearn_image, count, channels)
    service.client("sagemaker").create_training_job(**wanted)
    seen = service.wait("own")
    assert seen["TrainingJobStatus"] == "Completed", seen
    assert seen["ResourceConfig"] == wanted["ResourceConfig"]
    told = printed(service, "own")
    assert sorted(told) == ["algo-1", "algo-2", "algo-3"]
    parts = [told[host]["channels"]["part"] for host in sorted(told)]
    assert parts == [["0", "3", "6"], ["1", "4"], ["2", "5"]]
    assert all(t["channels"]["all"] == list("0123456") for t in told.values())
    assert model(service, "own") == ["algo-1", "algo-2", "algo-3"]


def test_what_instances_leave_is_in_one_place(service, sklearn_image, bucket):
    """Equal files are one; of different ones under one name both are kept."""
    count = {"InstanceType": TYPE, "InstanceCount": 2}
    wanted = request("left", sklearn_image, count, [], HyperParameters={"leaves": "1"})
    service.client("sagemaker").create_training_job(**wanted)
    assert service.wait("left")["TrainingJobStatus"] == "Completed"
    made = {"algo-1": "algo-1", "algo-2": "algo-2", "notes": "of algo-1", "notes.algo-2": "of algo-2"}
    assert archive(service, "left", "model") == made
    assert archive(service, "left", "output") == {"same": "same"}
    listed = service.client("s3").list_objects_v2(Bucket="several", Prefix="out/left/evidence/")["Contents"]
    evidence = [f"out/left/evidence/{name}.intoto.json" for name in ("algo-1", "algo-2", "job")]
    assert sorted(o["Key"] for o in listed) == evidence


def test_traffic_is_encrypted_or_there_is_no_job(service, sklearn_image, bucket):
    count = {"InstanceType": TYPE, "InstanceCount": 2}
    wanted = request("secret", sklearn_image, count, [], EnableInterContainerTrafficEncryption=True)
    service.client("sagemaker").create_training_job(**wanted)
    seen = service.wait("secret")
    assert seen["EnableInterContainerTrafficEncryption"] is True
    if may_encrypt(service.belljar):
        assert seen["TrainingJobStatus"] == "Completed", seen
        assert {t["config"]["network_interface_name"] for t in printed(service, "secret").values()} == {"eth0"}
    else:
        assert seen["TrainingJobStatus"] == "Failed"
        assert "cannot be encrypted here" in seen["FailureReason"], seen
        assert not streams_if_any(service, "secret"), "nothing has run in clear"


def test_groups(service, sklearn_image, bucket):
    groups = [("head", TYPE, 1), ("rest", "ml.c5.xlarge", 2)]
    names = ("InstanceGroupName", "InstanceType", "InstanceCount")
    resources = {"InstanceGroups": [dict(zip(names, group)) for group in groups]}
    channels = [channel("rest", "s3://several/data/", "ShardedByS3Key", InstanceGroupNames=["rest"])]
    service.client("sagemaker").create_training_job(**request("groups", sklearn_image, resources, channels))
    assert service.wait("groups")["TrainingJobStatus"] == "Completed"
    told = printed(service, "groups")
    assert [told[f"algo-{n}"]["group"] for n in (1, 2, 3)] == ["head", "rest", "rest"]
    configs = [told[f"algo-{n}"]["config"] for n in (1, 2, 3)]
    assert [c["current_instance_type"] for c in configs] == [TYPE, "ml.c5.xlarge", "ml.c5.xlarge"]
    hosts = {"head": ["algo-1"], "rest": ["algo-2", "algo-3"]}
    assert all({g["instance_group_name"]: g["hosts"] for g in c["instance_groups"]} == hosts for c in configs)
    assert [told[f"algo-{n}"]["channels"] for n in (1, 2, 3)] == [{}, {"rest": ["0", "2", "4", "6"]}, {"rest": ["1", "3", "5"]}]


def test_the_first_failure_is_the_reason(service, sklearn_image, bucket):
    count = {"InstanceType": TYPE, "InstanceCount": 2}
    wanted = request("fails", sklearn_image, count, [], HyperParameters={"fails": "algo-2"})
    service.client("sagemaker").create_training_job(**wanted)
    seen = service.wait("fails")
    assert seen["TrainingJobStatus"] == "Failed"
    assert seen["FailureReason"] == "AlgorithmError: it was told to, exit code: 7 (algo-2)"
    assert service.wardens() == []


def test_a_stop_stops_all(service, sklearn_image, bucket):
    sagemaker = service.client("sagemaker")
    count = {"InstanceType": TYPE, "InstanceCount": 2}
    sagemaker.create_training_job(**request("stopped", sklearn_image, count, [], HyperParameters={"waits": "1"}))
    until(lambda: len(streams_if_any(service, "stopped")) == 2, "both run")
    sagemaker.stop_training_job(TrainingJobName="stopped")
    assert service.wait("stopped")["TrainingJobStatus"] == "Stopped"
    assert model(service, "stopped") == ["algo-1", "algo-2"]


def streams_if_any(service, job: str) -> dict:
    try:
        return {host: lines for host, lines in streams(service, job).items() if any("{" in line for line in lines)}
    except ClientError:
        return {}


@pytest.mark.parametrize(
    ("resources", "channels", "said"),
    [
        ({"InstanceType": TYPE, "InstanceCount": 21}, [], "1 to 20 instances"),
        (
            {"InstanceType": TYPE, "InstanceGroups": [{"InstanceGroupName": "a", "InstanceType": TYPE, "InstanceCount": 1}]},
            [],
            "InstanceGroups cannot be given together with InstanceType",
        ),
        (
            {"InstanceType": TYPE, "InstanceCount": 2},
            [channel("x", "s3://several/data/", InstanceGroupNames=["workers"])],
            "instance group 'workers', which the job does not have",
        ),
    ],
)
def test_what_is_wrong_is_named(service, sklearn_image, bucket, resources, channels, said):
    wanted = request("wrong", sklearn_image, resources, channels)
    with pytest.raises(ClientError) as refused:
        service.client("sagemaker").create_training_job(**wanted)
    error = refused.value.response["Error"]
    assert error["Code"] == "ValidationException" and said in error["Message"], error
