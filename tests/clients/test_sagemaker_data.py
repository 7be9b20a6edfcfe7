"""How data gets in and out of a job of the service: the same as with `belljar train`, and each way
that the API has, in one real container."""

import gzip
import hashlib
import io
import json
import tarfile

from conftest import ROOT
from service import ROLE

PROGRAM = """
import json, os, time
ml = "/opt/ml"
data = f"{ml}/input/data"
with open(f"{data}/stream_0", "rb") as fifo:
    print("epoch 0:", fifo.read())
while not os.path.exists(f"{data}/stream_1"):
    time.sleep(0.01)
with open(f"{data}/stream_1", "rb") as fifo:
    print("epoch 1:", fifo.read())
print("listed:", sorted(os.listdir(f"{data}/listed")))
config = json.load(open(f"{ml}/input/config/inputdataconfig.json"))
print("config:", config["stream"]["TrainingInputMode"], config["listed"]["TrainingInputMode"])
print("restored:", open(f"{ml}/checkpoints/step").read())
os.remove(f"{ml}/checkpoints/old")
open(f"{ml}/checkpoints/step", "w").write("2")
os.makedirs(f"{ml}/model/deep")
open(f"{ml}/model/deep/weights", "w").write("w")
open(f"{ml}/output/data/note", "w").write("n")
"""


def source(uri: str, kind: str = "S3Prefix") -> dict:
    return {"S3DataSource": {"S3DataType": kind, "S3Uri": uri, "S3DataDistributionType": "FullyReplicated"}}


def request(name: str, **changes) -> dict:
    return {
        "TrainingJobName": name,
        "RoleArn": f"arn:aws:iam::123456789012:role/{ROLE}",
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
        "EnableNetworkIsolation": True,
        **changes,
    }


def digests(tar: tarfile.TarFile) -> dict[str, str]:
    files = [member for member in tar.getmembers() if member.isfile()]
    read = {m.name.removeprefix("./"): tar.extractfile(m).read() for m in files}
    return {name: hashlib.sha256(content).hexdigest() for name, content in read.items()}


def test_belljar_train_makes_the_same_artifacts(service, digits_image, digits_job):
    s3, sagemaker = service.client("s3"), service.client("sagemaker")
    s3.create_bucket(Bucket="same")
    for channel in ("train", "test"):
        s3.upload_file(str(ROOT / f"examples/digits/data/{channel}.csv"), "same", f"{channel}/{channel}.csv")
    wanted = request(
        "same",
        AlgorithmSpecification={"TrainingImage": digits_image, "TrainingInputMode": "File"},
        HyperParameters={"trees": "20"},
        InputDataConfig=[
            {"ChannelName": c, "DataSource": source(f"s3://same/{c}")} for c in ("train", "test")
        ],
        OutputDataConfig={"S3OutputPath": "s3://same/out"},
    )
    sagemaker.create_training_job(**wanted)
    assert service.wait("same")["TrainingJobStatus"] == "Completed"
    for archive in ("model.tar.gz", "output.tar.gz"):
        body = s3.get_object(Bucket="same", Key=f"out/same/output/{archive}")["Body"].read()
        with tarfile.open(fileobj=io.BytesIO(body)) as served, tarfile.open(digits_job.output / "output" / archive) as told:
            assert digests(served) == digests(told) != {}, archive
    evidence = s3.get_object(Bucket="same", Key="out/same/evidence/algo-1.intoto.json")["Body"].read()
    assert json.loads(evidence)["payloadType"] == "application/vnd.in-toto+json"


def test_pipe_manifest_checkpoints_and_single_files(service, sklearn_image):
    s3, sagemaker, logs = (service.client(name) for name in ("s3", "sagemaker", "logs"))
    s3.create_bucket(Bucket="ways")
    for name, text in [("a", b"first "), ("b", b"second")]:
        s3.put_object(Bucket="ways", Key=f"packed/{name}.gz", Body=gzip.compress(text))
    for name in ("one", "two", "three"):
        s3.put_object(Bucket="ways", Key=f"files/{name}", Body=name.encode())
    listed = json.dumps([{"prefix": "s3://ways/files/"}, "one", "three"])
    s3.put_object(Bucket="ways", Key="manifest", Body=listed.encode())
    s3.put_object(Bucket="ways", Key="kept/step", Body=b"1")
    s3.put_object(Bucket="ways", Key="kept/old", Body=b"x")
    wanted = request(
        "ways",
        AlgorithmSpecification={
            "TrainingImage": sklearn_image,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["python3", "-u", "/opt/ml/input/data/code/program.py"],
        },
        InputDataConfig=[
            {"ChannelName": "code", "DataSource": source("s3://ways/code/")},
            {
                "ChannelName": "stream",
                "InputMode": "Pipe",
                "CompressionType": "Gzip",
                "DataSource": source("s3://ways/packed/"),
            },
            {"ChannelName": "listed", "DataSource": source("s3://ways/manifest", "ManifestFile")},
        ],
        OutputDataConfig={"S3OutputPath": "s3://ways/out", "CompressionType": "NONE"},
        CheckpointConfig={"S3Uri": "s3://ways/kept"},
    )
    s3.put_object(Bucket="ways", Key="code/program.py", Body=PROGRAM.encode())
    sagemaker.create_training_job(**wanted)
    seen = service.wait("ways")
    group = "/aws/sagemaker/TrainingJobs"
    (stream,) = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix="ways/")["logStreams"]
    assert stream["logStreamName"].startswith("ways/algo-1-")
    events = logs.get_log_events(logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True)
    said = [event["message"] for event in events["events"]]
    assert seen["TrainingJobStatus"] == "Completed", (seen.get("FailureReason"), said)
    for line in [
        "epoch 0: b'first second'",
        "epoch 1: b'first second'",
        "listed: ['one', 'three']",
        "config: Pipe File",
        "restored: 1",
    ]:
        assert line in said, said
    objects = {o["Key"] for o in s3.list_objects_v2(Bucket="ways")["Contents"]}
    assert {k for k in objects if k.startswith("kept/")} == {"kept/step"}, "deletes propagate"
    assert s3.get_object(Bucket="ways", Key="kept/step")["Body"].read() == b"2"
    assert {"out/ways/output/model/deep/weights", "out/ways/output/data/note"} <= objects, objects
    assert seen["ModelArtifacts"]["S3ModelArtifacts"] == "s3://ways/out/ways/output/model/"
